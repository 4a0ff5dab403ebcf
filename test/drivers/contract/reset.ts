/** What every PostgreSQL driver undoes when a connection is reset. */

import { describe, expect, test } from 'vitest'
import { Dirty } from '../../../src/sql/compiled.ts'
import { later } from '../test-connection.ts'
import type { ContractTest } from './contract.ts'

export function resets({ name, open, table }: ContractTest): void {
  describe(`${name}: reset`, () => {
    const state: readonly (readonly [name: string, dirty: number, make: string, left: string])[] = [
      ['settings', Dirty.settings, "set work_mem to '1MB'", "select current_setting('work_mem') = '1MB'"],
      [
        'own settings',
        Dirty.settings,
        "select set_config('app.tenant', 'a', false)",
        "select current_setting('app.tenant') = 'a'",
      ],
      ['role', Dirty.role, 'set role pg_monitor', "select current_user = 'pg_monitor'"],
      ['session', Dirty.role, 'set session authorization pg_monitor', "select session_user = 'pg_monitor'"],
      ['temporary tables', Dirty.temp, 'create temp table tt (a int)', "select to_regclass('pg_temp.tt') is not null"],
      ['LISTEN', Dirty.listen, 'listen harbour', 'select count(*) > 0 from pg_listening_channels()'],
      [
        'advisory locks',
        Dirty.locks,
        'select pg_advisory_lock(42)',
        "select count(*) > 0 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
      ],
      [
        'cursors',
        Dirty.cursors,
        'declare cc cursor with hold for select 1',
        "select count(*) > 0 from pg_cursors where name = 'cc'",
      ],
      [
        'PREPARE',
        Dirty.prepared,
        'prepare pp as select 1',
        'select count(*) > 0 from pg_prepared_statements where from_sql',
      ],
    ]

    test.each(state)('undoes %s, when told so and when told nothing', async (_what, dirty, make, left) => {
      const c = await open()
      const statement = c.named('select $1::int as a')
      for (const bits of [dirty, Dirty.unknown, 0]) {
        await c.run(make)
        expect(await c.value(left)).toBe(true)
        expect(await c.raw.reset(bits, later())).toBe(true)
        expect(
          await c.value(left.replace("current_setting('app.tenant')", "current_setting('app.tenant', true)")),
        ).not.toBe(true)
        expect(await c.value(statement, [1])).toBe(1)
      }
      expect([c.raw.dirty, c.raw.status]).toEqual([0, 'idle'])
    })

    test('gathers what statements soil, when they are sent', async () => {
      const c = await open()
      const op = c.op('listen harbour')
      c.raw.submit(op)

      expect(c.raw.dirty).toBe(Dirty.listen)
      await op.settled
      await c.run("set work_mem to '1MB'")
      expect(c.raw.dirty).toBe(Dirty.listen | Dirty.settings)
    })

    test('keeps the statements that we have prepared', async () => {
      const c = await open()
      const statement = c.named('select $1::int as kept')
      await c.run(statement, [1])
      await c.run('prepare "their own" as select 1')
      for (const dirty of [Dirty.settings | Dirty.role | Dirty.temp, Dirty.unknown]) await c.raw.reset(dirty, later())

      expect(
        await c.rows("select statement from pg_prepared_statements where statement like '%kept' or from_sql"),
      ).toEqual([{ statement: 'select $1::int as kept' }])
    })

    test('rolls back an open or failed transaction', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      for (const last of ['select 1', 'select 1/0']) {
        await c.unit('begin', `insert into ${t} values (1)`, last)
        expect(await c.raw.reset(0, later())).toBe(true)
        expect(c.raw.status).toBe('idle')
      }
      expect(await c.value(`select count(*) from ${t}`)).toBe(0)
    })

    test('restores the baseline', async () => {
      const c = await open()
      c.raw.setBaseline("select set_config('work_mem', '2MB', false);")
      await c.run("set work_mem to '1MB'")

      expect(await c.raw.reset(Dirty.settings, later())).toBe(true)
      expect(await c.value('show work_mem')).toBe('2MB')
    })

    test('says no when it failed, when it is late, and when something is in flight', async () => {
      const c = await open()
      c.raw.setBaseline('select 1/0')
      expect(await c.raw.reset(Dirty.settings, later())).toBe(false)
      const d = await open()
      d.raw.submit(d.op('select 1'))
      expect(await d.raw.reset(0, later())).toBe(false)
    })

    test('a ping is answered, and tells nobody', async () => {
      const c = await open()

      expect(await c.raw.ping(later())).toBe(true)
      expect(c.told).toEqual([])
    })
  })
}
