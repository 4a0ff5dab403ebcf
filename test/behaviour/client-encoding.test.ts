/** Text is UTF8 on its way to the server and back: whatever would make it another encoding is refused, or ends the connection. */

import { createDb, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, freshDatabase } from '../support/database.ts'
import { forEachDriver } from '../support/matrix.ts'

const texts = [
  `set client_encoding to 'LATIN1'`,
  `set client_encoding = latin1`,
  `SET SESSION "client_encoding" TO "LATIN1"`,
  `set names 'latin1'`,
  `select set_config('client_encoding', 'LATIN1', false)`,
  `select pg_catalog.set_config('Client_Encoding', 'LATIN1', true)`,
]

forEachDriver((driver) => {
  test.each(texts)('SQL that sets another is refused before it is sent: %s', async (text) => {
    const db = await driver.single()
    const read = (): Promise<unknown> => db.scalar(`select 'Gr' || chr(252) || 'n ' || length($1)`, ['ü€'])

    expect(await caught(db.status(text))).toBeInstanceOf(UsageError)
    await db.scope(async () => {
      expect((await caught(db.status(text))).message).toContain('UTF8 only')
      expect((await caught(db.status(`select 1; ${text}; select 2`))).message).toContain('UTF8 only')
      expect(await read()).toBe('Grün 2')
    })
    expect((await caught(db.transaction(() => db.status(text)))).message).toContain('UTF8 only')
    const connection = await db.acquire()
    expect((await caught(connection.status(text))).message).toContain('UTF8 only')
    await connection.release()
    expect(await read()).toBe('Grün 2')
  })

  test('UTF8 itself may be set, as dumps do', async () => {
    const db = await driver.single()
    await db.scope(async () => {
      await db.status(`set client_encoding = 'UTF8'; set names 'utf-8'`)
      await db.scalar(`select set_config('client_encoding', 'UTF8', false)`)
      expect(await db.scalar(`select chr(252)`)).toBe('ü')
    })
    await db.scope(
      async () => {
        expect(await db.scalar(`select chr(252)`)).toBe('ü')
      },
      { settings: { client_encoding: 'UTF8' } },
    )
  })

  test('settings of scopes and of the engine are refused', async () => {
    const db = await driver.single()
    expect(
      (await caught(db.scope(() => db.scalar('select 1'), { settings: { client_encoding: 'LATIN1' } }))).message,
    ).toContain('UTF8')
    const other = createDb(await driver.url(), { settings: { client_encoding: 'LATIN1' } })
    expect((await caught(other.scalar('select 1'))).message).toContain('UTF8')
  })

  test('a text whose name comes as a parameter, and a block, end the connection instead of garbling', async () => {
    const db = await driver.single()
    for (const work of [
      () => db.scope(() => db.scalar('select set_config($1, $2, false)', ['client_encoding', 'LATIN1'])),
      () => db.scope(() => db.status(`do $$ begin execute 'set client_encoding to latin1'; end $$`)),
    ]) {
      expect((await caught(work())).message).toMatch(/client_encoding is now "LATIN1"/)
      expect(await db.scalar(`select chr(252)`)).toBe('ü')
    }
  })

  test.skipIf(!driver.lends)('the driver’s own object cannot leave another behind', async () => {
    const db = await driver.single()
    const connection = await db.acquire()
    const raw = (await connection.rawConnection()) as { query(text: string): Promise<unknown> }
    await raw.query(`set client_encoding to 'LATIN1'`).catch(() => {})
    expect((await caught(connection.scalar(`select chr(252)`))).message).toMatch(/client_encoding|lost/)
    await connection.release()
    expect(await db.scalar(`select chr(252)`)).toBe('ü')
  })

  test('onConnect cannot set another', async () => {
    const db = createDb(await driver.url(), {
      pool: { max: 1 },
      onConnect: (connection) => connection.status(`set client_encoding = 'LATIN1'`),
    })
    expect((await caught(db.scalar('select 1'))).message).toContain('UTF8 only')
    await db.close()
  })
})

test('options of the URL and PGOPTIONS are refused', async () => {
  const url = `${await databaseUrl()}?options=-c%20client_encoding%3DLATIN1`
  expect((await caught(createDb(url).scalar('select 1'))).message).toContain('UTF8')
})

test('the default of a role or database does not count', async () => {
  await using database = await freshDatabase()
  const name = new URL(database.url).pathname.slice(1)
  await using db = createDb(database.url, { pool: { max: 1 } })
  await db.status(`alter database "${name}" set client_encoding = 'LATIN1'`)
  await using other = createDb(database.url, { pool: { max: 1 } })
  expect(await other.scalar(`select chr(252)`)).toBe('ü')
  await other.scope(() => other.status('set work_mem = 100'))
  expect(await other.scalar(`select chr(252) || $1`, ['ü'])).toBe('üü')
})
