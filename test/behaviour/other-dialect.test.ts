/**
 * The engine on a database that is not like PostgreSQL: placeholders without numbers, names in backticks, a transaction that is
 * opened by two texts, operations sent one by one, DDL that commits, errors that say nothing of the transaction, keep it or end all of
 * it, a reset that loses prepared statements.
 */

import { gt, sql as dsql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { createDb, type Db, type QueryError, sql } from 'genever'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { gate } from '../support/gate.ts'
import { SecondDriver } from '../support/second/driver.ts'

interface Served extends AsyncDisposable {
  readonly db: Db
  readonly server: FakeDriver
  readonly driver: SecondDriver
}

function serve(pool: object = {}): Served {
  const server = new FakeDriver()
  const driver = new SecondDriver(server)
  const db = createDb({ driver, pool: { max: 1, ...pool } })
  return {
    db,
    server,
    driver,
    async [Symbol.asyncDispose]() {
      await db.close()
      expect([...server.violations, ...driver.violations]).toEqual([])
    },
  }
}

const opening = ['SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'START TRANSACTION']

test('a value that is used twice is sent twice where placeholders have no numbers', async () => {
  await using served = serve()
  const { db, driver } = served

  expect(await db.all('select :a, :b, :a', { a: 1, b: 2 })).toHaveLength(1)
  expect(await db.scalar(db.sql`select ${5}`)).toBe(5)
  expect(await db.bake('select :a, :a').all({ a: 3 })).toHaveLength(1)
  expect(driver.received).toEqual(['select ?, ?, ?', 'select ?', 'select ?, ?'])
})

test('what is wrong with parameters is said in the words of the database', async () => {
  await using served = serve()
  const { db } = served

  expect((await caught(db.all('select ?, ?', [1]))).message).toBe('The text has 2 placeholders, but 1 value was given.')
  expect((await caught(db.all('select ?', []))).message).toBe(
    'The text has one placeholder, ?, but 0 values were given.',
  )
  expect((await caught(db.all('select ?', [undefined]))).message).toContain('Parameter number 1 is undefined')
})

test('a fragment that was written before the database was known is written for it: names, placeholders', async () => {
  await using served = serve()
  const { db, driver } = served
  const fragment = sql`select v from ${sql.identifier('a`b')} where v = ${1}`
  const baked = createDb().bake(sql`select ${2}`)

  await db.open()
  // The fake server does not know such a table.
  await caught(db.all(fragment))
  await db.first(baked)
  expect(driver.received).toEqual(['select v from `a``b` where v = ?', 'select ?'])
})

test('a fragment that the database would read in another way is refused, and nothing is sent', async () => {
  await using served = serve()
  const { db, driver } = served

  await db.open()
  expect((await caught(db.all(sql`select data ? 'a', ${1}`))).message).toContain(
    'reads its quotes, comments or placeholders',
  )
  expect(driver.received).toEqual([])
})

test('a transaction is opened by both texts in front of its first statement, savepoints have quoted names', async () => {
  await using served = serve()
  const { db, driver, server } = served

  await db.transaction(async (tx) => {
    await tx.status('insert into t values (?)', [1])
    await tx.transaction((inner) => inner.status('insert into t values (?)', [2]))
  })
  expect(driver.received).toEqual([
    ...opening,
    'insert into t values (?)',
    'SAVEPOINT `genever_1`',
    'insert into t values (?)',
    'COMMIT',
  ])
  expect(server.rows('t')).toEqual([{ v: 1 }, { v: 2 }])
})

test('when the second text fails, the first is taken back before anybody else uses the connection', async () => {
  await using served = serve()
  const { db, driver, server } = served
  server.faults.at({ text: 'BEGIN', phase: 'send' }, { error: '53200' })

  await caught(db.transaction((tx) => tx.status('insert into t values (1)')))
  await db.status('insert into t values (2)')
  expect(driver.received).toEqual([...opening, 'ROLLBACK', 'insert into t values (2)'])
  expect(server.rows('t')).toEqual([{ v: 2 }])
})

test('a statement that failed and was swallowed is not committed, although the server would', async () => {
  await using served = serve()
  const { db, driver, server } = served

  const error = await caught(
    db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      await caught(tx.status('fail 23505'))
    }),
  )
  expect(error.name).toBe('TransactionAbortedError')
  expect(driver.received.at(-1)).toBe('ROLLBACK')
  expect(server.rows('t')).toEqual([])
})

test('a statement that failed in a nested transaction leaves the one around it open', async () => {
  await using served = serve()
  const { db, server } = served

  await db.transaction(async (tx) => {
    await tx.status('insert into t values (1)')
    await caught(tx.transaction((inner) => inner.status('fail 23505')))
    await tx.status('insert into t values (2)')
  })
  expect(server.rows('t')).toEqual([{ v: 1 }, { v: 2 }])
})

test('an error that ends the whole transaction ends savepoints too: nothing is sent behind it, and nothing is committed', async () => {
  await using served = serve()
  const { db, driver, server } = served

  const error = await caught(
    db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      await caught(tx.transaction((inner) => inner.status('fail 40001')))
      await tx.status('insert into t values (2)')
    }),
  )
  expect(error.name).toBe('TransactionAbortedError')
  expect(driver.received.slice(-2)).toEqual(['SAVEPOINT `genever_1`', 'fail 40001'])
  expect(server.rows('t')).toEqual([])
})

test('an error that is known to keep a transaction may have ended it all the same: nothing of it runs outside', async () => {
  await using served = serve()
  const { db, driver, server } = served
  driver.server.timeoutEnds = true

  const error = await caught(
    db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      await caught(tx.transaction((inner) => inner.status('fail 55P03')))
      await tx.status('insert into t values (2)')
    }),
  )
  expect(error.name).toBe('TransactionAbortedError')
  expect(server.rows('t')).toEqual([])
  await db.status('insert into t values (3)')
  expect(server.rows('t')).toEqual([{ v: 3 }])
})

test('the state of a transaction is asked for after an error inside of it, and is not guessed', async () => {
  await using served = serve()
  const { db, driver, server } = served
  const connection = await db.acquire()

  await caught(connection.status('fail 23505'))
  expect(driver.server.asked).toBe(0)
  await connection.status('START TRANSACTION')
  await connection.status('insert into t values (1)')
  await caught(connection.status('fail 23505'))
  expect(driver.server.asked).toBe(1)
  // It is still open, and the server would take more.
  await connection.status('insert into t values (2)')
  await connection.status('COMMIT')
  expect(server.rows('t')).toEqual([{ v: 1 }, { v: 2 }])
  await connection.release()
})

test('DDL that fails has committed what was open: nothing is rolled back behind it', async () => {
  await using served = serve()
  const { db, driver, server } = served
  const connection = await db.acquire()
  server.faults.at({ text: 'create', phase: 'send' }, { error: '42P07' })

  await connection.status('START TRANSACTION')
  await connection.status('insert into t values (1)')
  await caught(connection.status('create table x (a int)'))
  await connection.status('insert into t values (2)')
  expect(server.rows('t')).toEqual([{ v: 1 }, { v: 2 }])
  await connection.release()
  expect(driver.received).not.toContain('ROLLBACK')
})

test('what the dialect calls retryable is tried again, and nothing else', async () => {
  await using served = serve()
  const { db } = served
  const attempts = async (text: string): Promise<unknown> => {
    let count = 0
    const error = await caught(
      db.transaction(
        (tx) => {
          count++
          return tx.status(text)
        },
        { retry: { limit: 2, intervalMs: 0 } },
      ),
    )
    return [error.name, (error as QueryError).retryable, count]
  }

  expect(await attempts('fail 40001')).toEqual(['DeadlockDetectedError', true, 3])
  expect(await attempts('fail 55P03')).toEqual(['LockTimeoutError', false, 1])
})

test('a reset loses prepared statements, so they are prepared again; nothing that can be taken back by name costs one', async () => {
  await using served = serve()
  const { db, driver } = served
  const { server } = driver
  const one = db.bake('select :a')
  const look = (tenant: string): Promise<unknown> =>
    db.scope(() => one.scalar({ a: tenant }), { settings: { 'app.tenant': tenant } })

  const times = (): number => server.prepared.filter((text) => text === 'select ?').length

  for (const tenant of ['7', '8', '9', '7']) expect(await look(tenant)).toBe(tenant)
  expect([times(), server.resets]).toEqual([1, 0])

  // What others did to the session is not theirs.
  const connection = await db.acquire()
  await connection.status("set app.other = 'kept'")
  await connection.release()
  expect(server.resets).toBe(1)
  expect(await look('7')).toBe('7')
  expect(times()).toBe(2)
})

test('statements that were prepared when the connection was opened are prepared again behind a reset', async () => {
  const server = new FakeDriver()
  const driver = new SecondDriver(server)
  await using db = createDb({ driver, pool: { max: 1 }, prebake: true })
  const one = db.bake('select :a')
  await db.open()

  expect(driver.server.prepared).toEqual(['select ?'])
  expect(await one.scalar({ a: 1 })).toBe(1)
  expect(driver.server.prepared).toEqual(['select ?'])
  await db.scope(() => db.status("set app.other = 'kept'"))
  expect(await one.scalar({ a: 2 })).toBe(2)
  expect([driver.server.prepared, driver.server.resets, driver.violations]).toEqual([['select ?', 'select ?'], 1, []])
})

test('a session that cannot say what it still has is not asked, and keeps its connection', async () => {
  await using served = serve({ acquireTimeoutMs: 50 })
  const { db, driver } = served
  const locked = gate()
  const over = gate()
  const holder = db.scope(async () => {
    await db.status('prepare kept as select 1')
    locked.open()
    await over.promise
  })
  await locked.promise

  expect((await caught(db.scalar('select 1'))).name).toBe('AcquireTimeoutError')
  expect(driver.received).toEqual(['prepare kept as select 1'])
  over.open()
  await holder
})

test('DDL that would commit is refused inside a transaction before it is sent, and runs outside', async () => {
  await using served = serve()
  const { db, driver, server } = served

  const error = await caught(
    db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      await tx.status('create table x (a int)')
    }),
  )
  expect(error.name).toBe('TransactionStateError')
  expect(error.message).toContain('commits the transaction around it')
  expect(driver.received).not.toContain('create table x (a int)')
  expect(server.rows('t')).toEqual([])
  await db.status('create table x (a int)')
  expect(driver.received.at(-1)).toBe('create table x (a int)')
})

test('statements of a unit are sent one by one: what stands behind one that failed never runs', async () => {
  await using served = serve()
  const { db, driver } = served

  await caught(db.transaction((tx) => tx.status('fail 23505')))
  expect(driver.received).toEqual([...opening, 'fail 23505', 'ROLLBACK'])
})

test('settings of a scope travel with the placeholders of the database', async () => {
  await using served = serve()
  const { db, driver } = served

  const seen = await db.scope(() => db.scalar("select current_setting('app.tenant', true)"), {
    settings: { 'app.tenant': '7' },
  })
  expect(seen).toBe('7')
  expect(driver.received[0]).toBe('select set_config(?, ?, false)')
})

test('lists come by statements of their own, paired by the server, where no column can have them', async () => {
  const authors = pgTable('authors', { id: integer().primaryKey() })
  const posts = pgTable('posts', {
    id: integer().primaryKey(),
    authorId: integer('author_id').references(() => authors.id),
  })
  const server = new FakeDriver({
    answer(text) {
      if (!text.includes('json_table'))
        return [
          { id: 7, key: '7', type: 'integer' },
          { id: 8, key: '8', type: 'integer' },
        ]
      const of = (id: number, ord: number): Record<string, number> => ({ id, author_id: 7, ord })
      return [of(1, 1), of(2, 1), of(3, 2)]
    },
  })
  const driver = new SecondDriver(server)
  await using db = await createDb({ driver, pool: { max: 1 } }).open()
  class Author extends Model(db, authors) {}
  class Post extends Model(db, posts) {}
  const query = Author.query()
    .join(Author.alias('other'), dsql`true`)
    .load(Author.load({ posts: many(Post.where(gt(Post.c.id, 0))) }))

  const found = await query
  expect(found.map(({ id, posts: of }) => [id, of.map((post) => post.id)])).toEqual([
    [7, [1, 2]],
    [8, [3]],
  ])
  expect(driver.received).toHaveLength(2)
  expect(driver.received[0]).toContain(`cast("authors"."id" as char), 'integer' from "authors"`)
  expect(driver.received[1]).toContain(
    `from (select ord, k0 from json_table(?, '$[*]' columns (ord for ordinality, k0 integer path '$[0]')) as j group by ord, k0) as o` +
      ` inner join "posts" on "posts"."author_id" = o.k0 where`,
  )
  expect((await caught(query.scalar())).message).toContain('further statements')
})
