/** Settings of a scope that has ended stay on its connection, without a trip, until the next user changes them: nobody sees them. */

import { createDb, type Db, type Executor } from 'genever'
import type pg from 'pg'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { type Words } from '../support/dialect-words.ts'
import { forEachDriver, wordsFor } from '../support/matrix.ts'

const who = `select concat(current_setting('app.tenant', true), ' ', nullif(current_setting('role'), 'none')) as who`
const whoOnMysql =
  "select concat(coalesce(@`app.tenant`, ''), ' ', coalesce(nullif(@@sort_buffer_size, @@global.sort_buffer_size), '')) as who"
const whoOn = (on: Executor): string => (wordsFor(on).system === 'mysql' ? whoOnMysql : who)
const settingsOf = ({ other: [name, value] }: Words): Record<string, string> => ({ 'app.tenant': '7', [name]: value })
const nobody = ' '

/** Those who come behind a scope with settings, and what they find. */
const next: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  'a statement': (db) => db.scalar(whoOn(db)),
  'a statement that fails, and one': async (db) =>
    [await caught(db.scalar('select exp(1000)')), await db.scalar(whoOn(db))][1],
  'a scope': (db) => db.scope(() => db.scalar(whoOn(db))),
  'a scope whose first statement fails': (db) =>
    db.scope(async () => [await caught(db.scalar('select exp(1000)')), await db.scalar(whoOn(db))][1]),
  'a transaction': (db) => db.transaction((tx) => tx.scalar(whoOn(tx))),
  'a transaction behind one that was rolled back': async (db) => {
    await db.transaction(async (tx) => [await tx.scalar(whoOn(tx)), tx.raiseRollback()])
    return db.transaction((tx) => tx.scalar(whoOn(tx)))
  },
  'a savepoint that was rolled back': (db) =>
    db.transaction(async (tx) => {
      await caught(tx.transaction((inner) => inner.scalar('select exp(1000)')))
      return tx.scalar(whoOn(tx))
    }),
  'a transaction by hand': async (db) => {
    await using tx = await db.begin({ isolation: 'serializable' })
    return await tx.scalar(whoOn(tx))
  },
  'a handle': async (db) => {
    await using connection = await db.acquire()
    return await connection.scalar(whoOn(connection))
  },
  'a transaction by text': async (db) => {
    await using connection = await db.acquire()
    await connection.status('begin')
    const inside = await connection.scalar(whoOn(connection))
    await connection.status('rollback')
    return inside === (await connection.scalar(whoOn(connection))) ? inside : 'another behind it'
  },
  'a cursor': async (db) => (await db.iterate<{ who: string }>(whoOn(db)).read())?.who,
  'several statements in one text': async (db) => (await db.status(`select 1; ${who}`)).rows[0],
  'DO, without a frame': async (db) => {
    await db.status(
      `do $$ begin perform set_config('app.seen', current_setting('app.tenant', true), true); commit; end $$`,
    )
    return db.scalar(whoOn(db))
  },
  detached: (db) => db.detached(() => db.scalar(whoOn(db))),
  'other settings': async (db) => {
    const seen = await db.scope(() => db.scalar(whoOn(db)), { settings: { 'app.tenant': '8' } })
    return seen === '8 ' ? nobody : seen
  },
  'other names': async (db) => {
    const seen = await db.scope(() => db.scalar(whoOn(db)), { settings: { 'app.user': 'ann' } })
    return seen
  },
}

const onPostgres: ReadonlySet<string> = new Set(['several statements in one text', 'DO, without a frame'])

forEachDriver((driver) => {
  const onMysql = driver.name === 'mysql'
  const made = settingsOf(driver.words)

  test.each(Object.entries(next).filter(([name]) => !onMysql || !onPostgres.has(name)))(
    '%s finds nothing of them',
    async (_, use) => {
      const db = await driver.single()
      const found = (seen: unknown): unknown => (typeof seen === 'object' ? (seen as { who: string }).who : seen)
      const scopes: readonly ((db: Db) => Promise<unknown>)[] = [
        (each) => each.scope(() => each.scalar(whoOn(each)), { settings: made }),
        (each) => each.scope(() => each.transaction((tx) => tx.scalar(whoOn(tx))), { settings: made }),
        (each) =>
          each.scope(async () => [await each.scalar(whoOn(each)), await caught(each.scalar('select exp(1000)'))], {
            settings: made,
          }),
        (each) =>
          each.scope(async () => each.transaction(async (tx) => [await tx.scalar(whoOn(tx)), tx.raiseRollback()]), {
            settings: made,
          }),
        (each) => each.scope(() => caught(each.scalar('select exp(1000)')), { settings: made }),
      ]

      for (const scope of scopes) {
        await scope(db)
        expect(found(await use(db))).toBe(nobody)
        expect(await db.scalar(whoOn(db))).toBe(nobody)
      }
    },
  )

  test('a statement that ends transactions by itself comes behind a scope with settings', async () => {
    const table = await driver.table('who text')
    const db = await driver.single()
    const add = `insert into ${table} ${driver.words.setting('app.tenant')}`
    const begin = onMysql ? 'start transaction; ' : ''
    const program = `begin ${begin}${add}; commit; ${begin}${add}; rollback; end`
    await db.status(`create procedure ${table}p() ${onMysql ? program : `language plpgsql as $$ ${program} $$`}`)

    await db.scope(() => db.scalar(whoOn(db)), { settings: { 'app.tenant': '7' } })
    await db.status(`call ${table}p()`)
    await db.scope(() => db.scalar(whoOn(db)), { settings: { 'app.tenant': '7' } })
    await db.status(onMysql ? `analyze table ${table}` : `vacuum ${table}`)

    expect(await db.all(`select coalesce(who, '') as who from ${table}`)).toEqual([{ who: '' }])
  })

  test('what counts from the beginning of a transaction holds for the first statement of its scope, and for no other', async () => {
    const table = await driver.table('n int')
    const db = await driver.single()
    const maria = onMysql && (await db.scalar<string>('select version()'))?.includes('Maria') === true
    const prefix = onMysql ? (maria ? 'tx' : 'transaction') : 'default_transaction'
    const reader = { [`${prefix}_read_only`]: onMysql ? '1' : 'on' }
    const add = (): Promise<unknown> => db.status(`insert into ${table} values (1)`)
    const refused = expect.objectContaining({ name: 'ReadOnlyError' }) as unknown

    expect(await caught(db.scope(add, { settings: reader }))).toEqual(refused)
    await add()
    expect(await caught(db.scope(() => db.transaction(add), { settings: reader }))).toEqual(refused)
    await db.transaction(add)
    const level = onMysql
      ? `select lower(replace(@@${prefix}_isolation, '-', ' '))`
      : `select current_setting('transaction_isolation')`
    const usual = await db.scalar(level)
    const serial = { [`${prefix}_isolation`]: 'serializable' }
    expect(await db.scope(() => db.scalar(level), { settings: serial })).toBe('serializable')
    expect(await db.scope(() => db.transaction((tx) => tx.scalar(level)), { settings: serial })).toBe('serializable')
    expect([usual, await db.transaction((tx) => tx.scalar(level))]).toEqual([
      onMysql ? 'repeatable read' : 'read committed',
      usual,
    ])
  })

  test('a limit of time is not left to those who come next', async () => {
    const db = await driver.single()
    const maria = onMysql && (await db.scalar<string>('select version()'))?.includes('Maria') === true
    const limit = maria
      ? { max_statement_time: '0.02' }
      : { [onMysql ? 'max_execution_time' : 'statement_timeout']: '20' }
    // On a busy machine this one itself may take longer.
    await db.scope(() => db.scalar('select 1').catch(() => {}), { settings: limit })
    expect(await db.all(driver.words.sleep(0.1))).toHaveLength(1)
  })
})

test('the raw client that comes next finds nothing of them', async () => {
  await using db = createDb(await databaseUrl(), { driver: 'pg', pool: { max: 1 } })
  await db.scope(() => db.scalar(who), { settings: settingsOf(wordsFor(db)) })
  await db.scope(async (connection) => {
    const client = (await connection.rawConnection()) as pg.Client
    expect((await client.query<{ who: string }>(who)).rows).toEqual([{ who: nobody }])
  })
  expect(await db.scalar(who)).toBe(nobody)
})
