/** Settings of a scope beside what cannot share its unit with them on MySQL: a level in front of BEGIN, and what commits by itself. */

import { createDb, type Db, type Executor, type TransactionOptions } from 'genever'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'

const levels: readonly TransactionOptions[] = [
  { isolation: 'read committed' },
  { isolation: 'serializable' },
  { isolation: 'serializable', readOnly: true },
]

describeMysql('settings of a scope on MySQL', () => {
  let home: FreshMysql
  /** That of the tenant. */
  let server: FreshMysql
  let settings: Readonly<Record<string, string>>
  let added = 0

  beforeAll(async () => {
    home = await freshMysql()
    server = await freshMysql(
      'create table s (n int primary key)',
      'insert into s values (0)',
      'create table heard (who varchar(20))',
      'create procedure p() begin insert into heard values (@`app.tenant`); commit; insert into heard values (@`app.tenant`); end',
    )
    settings = { database: server.name, 'app.tenant': '7' }
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await home[Symbol.asyncDispose]()
  })

  function single(options: object = {}): Db {
    const db = createDb(home.url, { ...options, pool: { max: 1 } })
    onTestFinished(async () => void (await db.close({ timeoutMs: 5_000 })))
    return db
  }

  /** What the transaction does, since no server says its level: which rows it locks and which it sees. With the tenant. */
  async function seen(on: Executor): Promise<string> {
    const count = async (): Promise<number> => Number(await on.scalar('select count(*) from s'))
    const before = await count()
    const free = await server.query('select n from s for update nowait').then(
      () => true,
      () => false,
    )
    const tenant = String(await on.scalar('select @`app.tenant`'))
    if (!free) return `serializable ${tenant}`
    await server.query('insert into s values (?)', [++added])
    return `${(await count()) > before ? 'read committed' : 'repeatable read'} ${tenant}`
  }

  test.each(levels)(
    'a transaction with %o is the first to use the connection of a scope with them',
    async (options) => {
      const first = (work: (db: Db) => Promise<unknown>): Promise<unknown> => {
        const db = single()
        return db.scope(() => work(db), { settings })
      }
      const ways: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
        'around a callback': (db) => db.transaction(() => seen(db), options),
        nested: (db) => db.transaction((tx) => tx.transaction(() => seen(db)), options),
        'begun when its first statement comes': (db) => db.transaction(() => seen(db), { ...options, lazy: true }),
        'on a connection taken from the pool': (db) => db.transaction(() => seen(db), { ...options, reuse: false }),
        async 'by hand'(db) {
          await using tx = await db.begin(options)
          return await seen(tx)
        },
        async 'behind idle()'(db) {
          await db.scalar('select 1')
          await db.idle(() => {})
          return db.transaction(() => seen(db), options)
        },
        async 'behind a first statement that fails'(db) {
          await caught(db.transaction(() => db.scalar('select nothing'), options))
          return db.transaction(() => seen(db), options)
        },
        async 'behind a rollback'(db) {
          const back = new Error('back')
          const work = db.transaction((tx) => tx.scalar('select 1').then(() => Promise.reject(back)), options)
          expect(await caught(work)).toBe(back)
          return db.transaction(() => seen(db), options)
        },
      }
      for (const [name, way] of Object.entries(ways)) expect(await first(way), name).toBe(`${options.isolation} 7`)
    },
  )

  test('the level of a transaction is not that of the next one, and neither has what the other was given', async () => {
    const db = single()
    const other = { database: server.name, 'app.tenant': '8' }
    for (let turn = 0; turn < 3; turn++) {
      const strict = db.scope(() => db.transaction(() => seen(db), { isolation: 'serializable' }), { settings })
      expect(await strict).toBe('serializable 7')
      expect(await db.scope(() => db.transaction(() => seen(db)), { settings: other })).toBe('repeatable read 8')
      expect(await db.first('select database() as d, @`app.tenant` as t')).toEqual({ d: home.name, t: null })
    }
  })

  test('the isolation level of the engine is kept beside them', async () => {
    const db = single({ isolation: 'serializable' })

    expect(await db.scope(() => db.transaction(() => seen(db)), { settings })).toBe('serializable 7')
  })

  test.each([
    'create table _ (n int)',
    'create table _ as select * from s',
    'create index _ on s (n)',
    'create view _ as select n from s',
    'alter table s comment = "_"',
    'analyze table s',
    'optimize table heard',
    'truncate table heard',
    'call p()',
    'create database _',
  ])('what commits by itself is the first of a scope with them: %s', async (pattern) => {
    const db = single()
    const here = async (): Promise<unknown> => db.first('select database() as d, @`app.tenant` as t')
    let made = 0
    const undo = /^create (table|view|database)/.exec(pattern)?.[1]
    const ways: readonly ((text: string) => Promise<unknown>)[] = [
      (text) => db.scope(() => db.status(text), { settings }),
      (text) => db.scope((connection) => connection.status(text), { settings, reusable: false }),
      (text) => db.detached(() => db.status(text), { settings }),
      (text) =>
        db.scope(
          async () => {
            await db.status(text)
            expect(await here()).toEqual({ d: server.name, t: '7' })
          },
          { settings },
        ),
    ]
    for (const way of ways) {
      const name = `${server.name}_x${++made}`
      await way(pattern.replace('_', name))
      // It was made in the database of the settings.
      if (undo !== undefined) await server.query(`drop ${undo} \`${name}\``)
      if (pattern.startsWith('create index')) await server.query(`drop index \`${name}\` on s`)
    }
    expect(await here()).toEqual({ d: home.name, t: null })
  })

  test('they hold for all of a procedure that is called first', async () => {
    const db = single()
    await server.query('delete from heard')
    await db.scope(() => db.status('call p()'), { settings })

    expect(await server.query('select who from heard')).toEqual([{ who: '7' }, { who: '7' }])
  })

  test('what code sets over them stays when a transaction is rolled back, which takes back no setting here', async () => {
    const db = single()
    const tenant = (): Promise<unknown> => db.scalar('select @`app.tenant`')
    const fails = async (): Promise<void> => {
      const error = new Error('undone')
      expect(
        await caught(
          db.transaction(async () => {
            expect(await tenant()).toBe('8')
            await db.scalar('select 1')
            throw error
          }),
        ),
      ).toBe(error)
    }

    await db.scope(
      async () => {
        expect(await tenant()).toBe('7')
        await db.status("set @`app.tenant` = '8'")
        await fails()
        expect(await tenant()).toBe('8')
        await db.transaction(async () => {
          expect(await tenant()).toBe('8')
          await fails()
          expect(await tenant()).toBe('8')
        })
      },
      { settings },
    )
    expect(await db.scope(tenant, { settings })).toBe('7')
  })
})
