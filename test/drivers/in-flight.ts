/** What several units in flight are to each other, on every driver that takes several. */

import { afterEach, describe, expect, test } from 'vitest'
import { type Contract } from './contract/contract.ts'
import { closeAll, connect, later, type TestConnection, type TestOp } from './test-connection.ts'

/** How those ended that were submitted one behind the other, without waiting. */
export async function together(c: TestConnection, ...ops: readonly (string | TestOp)[]): Promise<string[]> {
  const all = ops.map((op) => (typeof op === 'string' ? c.op(op) : op))
  for (const op of all) c.raw.submit(op)
  await Promise.all(all.map(({ settled }) => settled))
  return all.map(({ end }) => end)
}

/** @param many How many it takes. */
export function inFlightContract({ name, driver, options }: Contract, many: number): void {
  const open = async (): Promise<TestConnection> => connect(driver, await options())

  describe(`${name}: several units in flight`, () => {
    afterEach(closeAll)

    test('are answered in their order, each with its own rows', async () => {
      const c = await open()
      const ops = Array.from({ length: many }, (_, n) => c.op('select $1::int as n', [n]))
      for (const op of ops) c.raw.submit(op)
      expect([c.raw.inFlight, c.raw.status]).toEqual([many, 'unknown'])

      await ops.at(-1)?.settled

      expect(ops.map(({ rows }) => rows[0])).toEqual(ops.map((_, n) => ({ n })))
      expect([c.raw.inFlight, c.raw.status, c.told.at(-1)]).toEqual([0, 'idle', 'idle'])
    })

    test('fail alone', async () => {
      const c = await open()
      const t = `fails_${process.pid}`
      await c.run(`create table ${t} (a int)`)

      expect(
        await together(c, `insert into ${t} values (1)`, 'select 1/0', 'select 1', 'selec', `select * from ${t}`),
      ).toEqual(['INSERT 1', 'server 22012 rolled_back', 'SELECT 1', 'server 42601 rolled_back', 'SELECT 1'])
    })

    test('of a new text are parsed once: the others bind to the name that is being parsed', async () => {
      const c = await open()
      const stmt = c.named('select $1::int + 1 as n')
      const ops = Array.from({ length: many }, (_, n) => c.op(stmt, [n]))

      expect(await together(c, ...ops)).toEqual(ops.map(() => 'SELECT 1'))

      expect(ops.map(({ rows }) => rows[0].n)).toEqual(ops.map((_, n) => n + 1))
      expect(
        await c.value('select count(*)::int from pg_prepared_statements where statement like $1', ['%+ 1 as n']),
      ).toBe(1)
    })

    test('keep their order where some are stale: those run again in their place, or not at all', async () => {
      const [c, other] = [await open(), await open()]
      const t = `overtaken_${process.pid}`
      await c.run(`create table ${t} (n serial, seen int)`)
      const insert = c.named(`insert into ${t} default values returning *`)
      const update = c.named(`update ${t} set seen = (select count(*) from ${t}) where seen is null`)
      const all = c.named(`select * from ${t} order by n`)
      const count = c.named(`select count(*)::int from ${t}`)
      let columns = 0
      const stale = async (): Promise<void> => {
        for (const each of [insert, insert, update, all, all, count, count]) await c.run(each)
        await c.run(`delete from ${t}`)
        await other.run(`alter table ${t} add column another_${++columns} int`)
      }

      await stale()
      expect(await together(c, c.op(insert), c.op(update))).toEqual(['server 0A000 rolled_back', 'UPDATE 0'])
      expect(await c.value(`select count(*)::int from ${t}`)).toBe(0)
      await stale()
      expect(await together(c, c.op(insert), c.op(count))).toEqual(['server 0A000 rolled_back', 'SELECT 1'])
      await stale()
      expect(await together(c, c.op(all), c.op(insert), c.op(count))).toEqual([
        ...['SELECT 0', 'server 0A000 rolled_back', 'SELECT 1'],
      ])
      await stale()
      const inserts = [c.op(insert), c.op(insert), c.op(insert)]
      expect(await together(c, ...inserts)).toEqual(['INSERT 1', 'INSERT 1', 'INSERT 1'])
      const numbers = inserts.map(({ rows }) => rows[0].n as number)
      expect(numbers).toEqual(numbers.toSorted((one, next) => one - next))
      await stale()
      expect(await together(c, c.op(all), c.op(count), c.op(all))).toEqual(['SELECT 0', 'SELECT 1', 'SELECT 0'])
    })

    test('that were to be parsed by one that failed run again in their place, or not at all', async () => {
      const c = await open()
      const t = `unparsed_${process.pid}`
      await c.run(`create table ${t} (n int)`)
      const nothing = c.named('select nothing_else')

      expect(await together(c, c.op(nothing), c.op(nothing), `insert into ${t} values (1)`)).toEqual([
        ...['server 42703 rolled_back', 'skipped not_started'],
        'INSERT 1',
      ])
      expect(c.raw.inFlight).toBe(0)
    })

    test('of a new text that cannot be parsed fail alike', async () => {
      const c = await open()
      const stmt = c.named('select nothing')

      expect(await together(c, c.op(stmt), c.op(stmt), 'select 1', c.op(stmt))).toEqual([
        'server 42703 rolled_back',
        'server 42703 rolled_back',
        'SELECT 1',
        'server 42703 rolled_back',
      ])
      expect(await together(c, c.op(stmt))).toEqual(['server 42703 rolled_back'])
    })

    test('with a stale plan are sent again, each on its own', async () => {
      const c = await open()
      const t = `stale_${process.pid}`
      await c.run(`create table ${t} as select 1 as a`)
      await c.run(`create function ${t}_alter() returns void language plpgsql as $$ begin
        alter table ${t} add column b text default 'new'; end $$`)
      const stmt = c.named(`select * from ${t}`)
      for (let n = 0; n < 2; n++) await c.run(stmt)
      // Nobody can see that it alters anything.
      await c.run(`select ${t}_alter()`)
      const ops = [c.op(stmt), c.op('select 7 as seven'), c.op(stmt), c.op(stmt)]

      expect(await together(c, ...ops)).toEqual(ops.map(() => 'SELECT 1'))
      expect(ops.map(({ rows }) => rows)).toEqual([
        [{ a: 1, b: 'new' }],
        [{ seven: 7 }],
        [{ a: 1, b: 'new' }],
        [{ a: 1, b: 'new' }],
      ])
    })

    test('behind what may change the session wait until that was answered', async () => {
      const c = await open()
      const t = `moves_${process.pid}`
      await c.run(`create schema ${t}`)
      await c.run(`create table ${t}.here as select 'there' as v`)
      await c.run(`create table here as select 'public' as v`)
      const stmt = c.named('select v from here')
      const ops = [
        c.op(stmt),
        c.op(`set search_path to ${t}`),
        c.op(stmt),
        c.op('set search_path to public'),
        c.op(stmt),
      ]

      await together(c, ...ops)

      expect([0, 2, 4].map((n) => ops[n]?.rows[0].v)).toEqual(['public', 'there', 'public'])
    })

    test('behind a BEGIN that fails do not run outside of it', async () => {
      const c = await open()
      const ops = [c.op('begin isolation level none'), c.op('select 1')]
      c.raw.submitUnit({ ops })
      const behind = c.op('select 2')
      c.raw.submit(behind)
      await behind.settled

      expect([...ops, behind].map(({ end }) => end)).toEqual([
        'server 42601 rolled_back',
        'skipped not_started',
        'SELECT 1',
      ])
    })

    test('may need the types of their parameters, which are asked for in between', async () => {
      const c = await open()
      const ops = [
        c.op(c.named('select $1::int[] as list'), [[1, 2]]),
        c.op('select 1 as one'),
        c.op(c.named('select $1::int[] as list'), [[3]]),
        c.op(c.named('select $1::jsonb as json'), [[3]]),
      ]

      expect(await together(c, ...ops)).toEqual(ops.map(() => 'SELECT 1'))
      expect(ops.map(({ rows }) => rows[0])).toEqual([{ list: [1, 2] }, { one: 1 }, { list: [3] }, { json: [3] }])
    })

    test('that cannot be written fail, and the others run', async () => {
      const c = await open()

      expect(await together(c, 'select 1', c.op('select $1::text', ['\0']), 'select 2')).toEqual([
        'SELECT 1',
        'encode not_started',
        'SELECT 1',
      ])
      expect([c.raw.inFlight, c.raw.status]).toEqual([0, 'idle'])
    })

    test('one that waits is called off without a word to the server', async () => {
      const c = await open()
      const ops = [c.op('begin'), c.op('select 1')]
      for (const op of ops) c.raw.submit(op)

      expect(await c.raw.cancel(ops[1] as TestOp, later())).toBe('cancelled')

      await Promise.all(ops.map(({ settled }) => settled))
      expect(ops.map(({ end }) => end)).toEqual(['BEGIN', 'aborted not_started'])
      await c.run('rollback')
    })
  })
}
