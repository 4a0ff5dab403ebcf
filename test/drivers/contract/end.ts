/** How connections of every PostgreSQL driver end: destroyed, lost, closed, and what is in flight then. */

import { describe, expect, test } from 'vitest'
import { later } from '../test-connection.ts'
import type { ContractTest } from './contract.ts'

export function ends({ name, driver, open }: ContractTest): void {
  describe(`${name}: the end`, () => {
    test('destroying fails what is in flight in order, then tells once', async () => {
      const c = await open()
      const ops = ['select 1', 'select 2'].map((text) => c.op(text))
      const order: unknown[] = []
      c.raw.submitUnit({ ops })
      for (const op of ops) void op.settled.then(() => order.push(op))
      c.raw.destroy({ kind: 'closed', outcome: 'unknown' })
      c.raw.destroy({ kind: 'closed', outcome: 'unknown' })

      expect([c.raw.alive, c.raw.status, ops.map(({ end }) => end)]).toEqual([false, 'unknown', ['pending', 'pending']])
      await Promise.all(ops.map(({ settled }) => settled))
      expect(ops.map(({ end }) => end)).toEqual(['closed unknown', 'closed unknown'])
      await Promise.resolve()
      expect([order, c.told]).toEqual([ops, ['lost closed']])
      expect((await c.run('select 1')).end).toBe('closed not_started')
    })

    const losses: readonly (readonly [before: string[], unit: string[], ends: string[]])[] = [
      [[], ['select 1'], ['unknown']],
      [[], ['insert into nowhere values (1)'], ['unknown']],
      [[], ['begin', 'select 1'], ['rolled_back', 'rolled_back']],
      [[], ['begin', 'select 1', 'commit'], ['unknown', 'unknown', 'unknown']],
      [['begin'], ['select 1'], ['rolled_back']],
      [['begin'], ['commit'], ['unknown']],
      [['begin'], ['rollback'], ['rolled_back']],
      [['begin'], ['rollback', 'select 1'], ['rolled_back', 'unknown']],
      [
        ['begin', 'savepoint a'],
        ['rollback to savepoint a', 'select 1'],
        ['rolled_back', 'rolled_back'],
      ],
      [['begin', 'select 1/0'], ['commit'], ['rolled_back']],
      [['begin'], ['select 1; commit'], ['unknown']],
      [[], ['vacuum'], ['unknown']],
    ]

    test.each(losses)('after %j the outcome of losing %j is %j', async (before, texts, outcomes) => {
      const c = await open()
      for (const text of before) await c.run(text)
      const ops = texts.map((text) => c.op(text))
      c.raw.submitUnit({ ops })
      c.raw.destroy({ kind: 'lost', outcome: 'unknown' })
      await Promise.all(ops.map(({ settled }) => settled))

      expect(ops.map(({ failure }) => failure?.outcome)).toEqual(outcomes)
    })

    test('a statement that waits to be described has not started', async () => {
      const c = await open()
      const op = c.op('select $1::int[]', [[1]])
      c.raw.submit(op)
      c.raw.destroy({ kind: 'lost', outcome: 'unknown' })

      expect((await op.settled).end).toBe('lost not_started')
    })

    test('cancelling, resetting and pinging what is lost is answered', async () => {
      const c = await open()
      const op = c.op('select 1')
      c.raw.destroy({ kind: 'lost', outcome: 'unknown' })

      expect(await c.raw.cancel(op, later())).toBe('broken')
      expect(await c.raw.reset(0, later())).toBe(false)
      expect(await c.raw.ping(later())).toBe(false)
      await c.raw.close(later())
    })

    test('cancelling what has ended is no cancel', async () => {
      const c = await open()
      const op = await c.run('select 1')

      expect(await c.raw.cancel(op, later())).toBe('completed')
      expect([c.raw.quarantined, await c.value('select 1')]).toEqual([false, 1])
    })

    test('closing ends the connection and tells once', async () => {
      const c = await open()
      await Promise.all([c.raw.close(later()), c.raw.close(later())])

      expect([c.raw.alive, c.told]).toEqual([false, ['lost closed']])
    })

    test('closing fails what is in flight', async () => {
      const c = await open()
      const op = c.op('select 1')
      c.raw.submit(op)
      await c.raw.close(later())

      expect((await op.settled).end).toBe('closed unknown')
    })

    test('unknown and wrong options are refused together', () => {
      expect(() => driver.parse({ nonsense: 1, int8: 'no', another: true })).toThrow(/nonsense.*int8.*another/)
    })
  })
}
