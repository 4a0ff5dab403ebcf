// The first statements of a sandbox: BEGIN, and what has to be known of the session before anything changes it.
import type { SharedConnection } from '../shared.ts'
import type { Script } from '../wire/step.ts'

export function* opening(shared: SharedConnection, isolation: string | undefined): Script {
  const begin = shared.own(shared.engine.dialect.begin({ isolation }))
  const level = shared.own("select current_setting('transaction_isolation') as level")
  yield [begin, level]
  if (!begin.ok || !level.ok) {
    shared.raw.destroy(begin.failure ?? level.failure ?? { kind: 'closed', outcome: 'rolled_back' })
    return
  }
  shared.isolation = (level.rows as { level: string }[])[0]?.level ?? 'read committed'
  yield* shared.session.learn()
  yield* shared.constraints.learn()
}
