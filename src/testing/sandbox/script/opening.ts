// The first statements of a sandbox: BEGIN, and what has to be known of the session before anything changes it.
import type { SharedConnection } from '../shared.ts'
import { firstFailure, type Script } from '../wire/step.ts'
import { allOk } from './atomic.ts'

export function* opening(shared: SharedConnection, isolation: string | undefined): Script {
  const { before, begin } = shared.engine.dialect.begin({ isolation })
  const level = shared.own(shared.words.level)
  const steps = [...before.map((text) => shared.own(text)), shared.own(begin), level]
  yield steps
  if (!allOk(steps)) {
    shared.raw.destroy(firstFailure(steps) ?? { kind: 'closed', outcome: 'rolled_back' })
    return
  }
  const [row = {}] = level.rows as Record<string, string>[]
  const found = Object.values(row).at(-1) ?? 'read committed'
  // MySQL says what the session has, not its transaction.
  shared.isolation = isolation ?? found.toLowerCase().replaceAll('-', ' ')
  yield* shared.session.learn()
  yield* shared.constraints.learn()
}
