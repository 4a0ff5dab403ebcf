/** The connection on which one server is asked how far it has come. */

import { expect, test } from 'vitest'
import type { ConnectionHooks, RawConnection } from '../../src/driver/driver.ts'
import { ServerProbe } from '../../src/engine/hosts/server-probe.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { FakeDriver } from '../support/fake/driver.ts'

const question = new StatementCache({ dialect: postgres, prepare: true }).compileInternal('select 1')

test('the end of a connection that was given up already leaves the next one as it is', async () => {
  const driver = new FakeDriver({ answer: () => [{ n: 1 }] })
  const opened: { readonly hooks: ConnectionHooks; readonly raw: RawConnection }[] = []
  const probe = new ServerProbe(
    async (hooks, deadline) => {
      const raw = await driver.open({}, hooks, deadline)
      opened.push({ hooks, raw })
      return raw
    },
    () => question,
    5_000,
  )
  expect(await probe.probe()).toBe('1')
  probe.closeIdle()
  expect(await probe.probe()).toBe('1')
  const [first, second] = opened
  first?.hooks.lost(first.raw, { kind: 'closed', outcome: 'not_started' })
  expect(await probe.probe()).toBe('1')
  expect(opened.length).toBe(2)

  second?.hooks.lost(second.raw, { kind: 'lost', outcome: 'not_started' })
  expect(await probe.probe()).toBe('1')
  expect(opened.length).toBe(3)
  await probe.close(performance.now() + 1_000)
})
