/** How an engine is made of its options, where that fails halfway, and what its driver hears of its end. */

import { createDb, UsageError } from 'genever'
import { expect, test } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { loadRuntime } from '../../src/engine/open/create-engine.ts'
import { makeEngine, resolve } from '../../src/engine/open/make-engine.ts'
import { onHosts } from '../../src/engine/open/on-hosts.ts'
import { Opening } from '../../src/engine/open/opening.ts'
import { Allowance } from '../../src/pool/allowance.ts'
import { hear } from '../support/events.ts'
import { FakeDriver } from '../support/fake/driver.ts'

class Counting extends Allowance {
  readonly sharers = new Set<object>()
  seen = 0

  override join(...[sharer]: Parameters<Allowance['join']>): void {
    this.sharers.add(sharer)
    this.seen = Math.max(this.seen, this.sharers.size)
    super.join(sharer)
  }

  override leave(...[sharer]: Parameters<Allowance['leave']>): void {
    this.sharers.delete(sharer)
    super.leave(sharer)
  }
}

class Picky extends FakeDriver {
  override parse(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    if (options['host'] === 'two') throw new UsageError('The server "two" is none.')
    return super.parse(options)
  }
}

test('pools of servers leave the connections that all tenants have when the options of a later server are refused', () => {
  const allowance = new Counting(9)
  const options = { driver: new Picky(), host: 'one', replicas: { urls: ['postgres://two/shop'] } }

  expect(() =>
    makeEngine(resolve(options, undefined), null, new Opening<Engine>(false, allowance), loadRuntime, onHosts),
  ).toThrow(UsageError)
  expect(allowance.seen).toBe(1)
  expect(allowance.sharers.size).toBe(0)
})

class Ending extends FakeDriver {
  readonly ended: object[] = []

  async end(options: object): Promise<void> {
    this.ended.push(options)
    throw new Error('no end')
  }
}

test('a driver hears once that its engine has closed, and cannot keep it from closing', async () => {
  const driver = new Ending()
  using heard = hear('ending')
  const db = createDb({ driver, host: 'one', name: 'ending' })
  await db.scalar('select 1')

  await Promise.all([db.close(), db.close()])

  expect(driver.ended).toEqual([expect.objectContaining({ host: 'one' })])
  expect(heard.notices.map(({ code }) => code)).toEqual(['hook-failed'])
})
