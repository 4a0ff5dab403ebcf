/** Policies that read a setting: what a tenant sees, and that nobody without the setting sees anything. */

import { QueryError, type Db } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  /** A table whose rows belong to tenants, and a role that is under its policy. */
  const tenanted = async (db: Db): Promise<{ table: string; settings: (id: string) => Record<string, string> }> => {
    const table = await driver.table('tenant text, n int')
    const role = `${table}_app`
    await db.status(`insert into ${table} select t::text, n from generate_series(1, 3) as t, generate_series(1, 2) as n;
      create role ${role}; grant select, insert on ${table} to ${role}; alter table ${table} enable row level security;
      create policy own on ${table} using (tenant = nullif(current_setting('app.tenant', true), ''))`)
    return { table, settings: (id) => ({ role, 'app.tenant': id }) }
  }

  test('a scope with settings sees the rows of its tenant, and can write no others', async () => {
    const db = await driver.db()
    const { table, settings } = await tenanted(db)
    const read = `select distinct tenant from ${table}`
    const work = (id: string): Promise<void> =>
      db.scope(
        async () => {
          expect(await db.all(read)).toEqual([{ tenant: id }])
          await db.idle(() => {})
          expect(await db.transaction((tx) => tx.all(read))).toEqual([{ tenant: id }])
          const error = await caught(db.status(`insert into ${table} values ('other', 1)`))
          expect(error).toBeInstanceOf(QueryError)
          expect((error as unknown as QueryError).sqlState).toBe('42501')
          expect(await db.all(read)).toEqual([{ tenant: id }])
          const seen: unknown[] = []
          for await (const row of db.iterate(read)) seen.push(row)
          expect(seen).toEqual([{ tenant: id }])
        },
        { settings: settings(id) },
      )

    await Promise.all(['1', '2', '3', '1', '2', '3'].map(work))
    expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(6)
  })

  test('a setting that was there before is the empty string, and lets nobody see anything', async () => {
    const db = await driver.single()
    const { table, settings } = await tenanted(db)
    const read = `select n from ${table}`
    const { role } = settings('') as { role: string }

    await db.scope(() => db.all(read), { settings: settings('1') })
    expect(await db.scope(() => db.all(read), { settings: { role } })).toEqual([])
    await db.scope(() => caught(db.transaction((tx) => tx.scalar('select 1 / 0'))), { settings: settings('1') })
    expect(await db.scope(() => db.all(read), { settings: { role } })).toEqual([])
    expect(await db.scope(() => db.all(read), { settings: settings("1' or '1' = '1") })).toEqual([])
  })

  test('SET LOCAL where there is no transaction fails, rather than let a statement run for nobody or everybody', async () => {
    const db = await driver.db()
    const { table, settings } = await tenanted(db)
    await db.scope(
      async () => {
        await caught(db.status(`set local app.tenant = '2'`))
        expect(await db.all(`select distinct tenant from ${table}`)).toEqual([{ tenant: '1' }])
        await db.transaction(async (tx) => {
          await tx.status(`set local app.tenant = '2'`)
          expect(await tx.all(`select distinct tenant from ${table}`)).toEqual([{ tenant: '2' }])
        })
        expect(await db.all(`select distinct tenant from ${table}`)).toEqual([{ tenant: '1' }])
      },
      { settings: settings('1') },
    )
  })
})
