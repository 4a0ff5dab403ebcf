/** A sandbox on MySQL or MariaDB: the same as on PostgreSQL, and what the server could not take back is refused. */

import {
  createDb,
  type Db,
  type Executor,
  ReadOnlyError,
  TransactionAbortedError,
  TransactionStateError,
  UniqueViolationError,
} from 'genever'
import { sandboxed } from 'genever/testing'
import { afterEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { until } from '../support/until.ts'
import { describeMysql, type FreshMysql, freshMysql, onFreshMysql, waitsForLock } from '../support/mysql.ts'

describeMysql('a sandbox on MySQL', () => {
  let server: FreshMysql
  let db: Db

  onFreshMysql(
    [
      'create table users (id int primary key) engine = innodb',
      'create table numbered (id int auto_increment primary key, v int) engine = innodb',
      'create table loose (id int primary key) engine = myisam',
      'create procedure adds() insert into users values (99)',
    ],
    (made) => void ({ server, db } = made),
    { pool: { max: 4 }, cancelTimeoutMs: 50_000, name: 'mysql sandbox' },
  )
  afterEach(async () => {
    expect(await committed(), 'left behind in the database').toEqual([])
    expect(db.stats()).toMatchObject({ reserved: 0, serving: 0, waiting: 0 })
  })

  const committed = async (): Promise<unknown[]> =>
    (await server.query('select id from users order by id')).map(({ id }) => id)
  const ids = async (): Promise<unknown[]> => (await db.all('select id from users order by id')).map(({ id }) => id)
  const insert = (id: number): Promise<unknown> => db.status('insert into users values (?)', [id])

  test('what is done is seen inside, by nobody else, and is gone afterwards', async () => {
    const result = await sandboxed(db, async () => {
      await insert(1)
      await db.transaction(() => insert(2))
      await db.executeMany('insert into users values (?)', [[3], [4]])
      await Promise.all([5, 6, 7].map((id) => db.transaction(() => insert(id))))
      expect(await ids()).toEqual([1, 2, 3, 4, 5, 6, 7])
      expect(await committed()).toEqual([])
      return 'done'
    })

    expect(result).toBe('done')
    expect(await ids()).toEqual([])
  })

  test('a statement that fails takes back itself alone, outside of a transaction and inside', async () => {
    await sandboxed(db, async () => {
      await insert(1)
      expect(await caught(insert(1))).toBeInstanceOf(UniqueViolationError)
      expect(await caught(db.all('select nothing'))).toMatchObject({ errno: 1054 })
      await using connection = await db.acquire()
      for (const text of ['begin', 'insert into users values (2)']) await connection.status(text)
      expect(await caught(connection.status('insert into users values (3), (1)'))).toBeInstanceOf(UniqueViolationError)
      for (const text of ['insert into users values (4)', 'commit']) await connection.status(text)
      expect(await ids()).toEqual([1, 2, 4])
    })
  })

  test('a failure that was swallowed keeps the commit from happening, and nested transactions have their own fates', async () => {
    await sandboxed(db, async () => {
      const error = await caught(
        db.transaction(async () => {
          await insert(1)
          await caught(insert(1))
        }),
      )
      expect(error).toBeInstanceOf(TransactionAbortedError)
      await db.transaction(async () => {
        await insert(2)
        await caught(db.transaction(async () => void (await insert(3), await insert(2))))
        await db.transaction(() => insert(4))
        await db.transaction(async (tx) => void (await insert(5), tx.raiseRollback()))
      })
      expect(await ids()).toEqual([2, 4])
    })
  })

  test('transactions with savepoints of the same name at the same time do not take back each other', async () => {
    await sandboxed(db, async () => {
      const work = async (id: number): Promise<void> => {
        const connection = await db.acquire()
        const texts = [
          'start transaction',
          `insert into users values (${id})`,
          'savepoint `A b`',
          `insert into users values (${id + 1})`,
          'savepoint `a B`',
          `insert into users values (${id + 2})`,
          'rollback to savepoint `A B`',
          'release savepoint `A b`',
          `insert into users values (${id + 3})`,
          'commit',
        ]
        for (const text of texts) await connection.status(text)
        await connection.release()
      }
      await work(10)
      await Promise.all([work(20), work(30)])

      expect(await ids()).toEqual([10, 11, 13, 20, 21, 23, 30, 31, 33])
    })
  })

  test('a savepoint that is not there is the error of the server', async () => {
    await sandboxed(db, async () => {
      await using connection = await db.acquire()
      await connection.status('savepoint x')
      expect(await caught(connection.status('rollback to x'))).toMatchObject({ errno: 1305 })
      await connection.status('begin')
      expect(await caught(connection.status('release savepoint x'))).toMatchObject({ errno: 1305 })
      await connection.status('rollback')
    })
  })

  test('a transaction that reads only refuses to write, and those after it do not', async () => {
    await sandboxed(db, async () => {
      expect(await caught(db.transaction(() => insert(1), { readOnly: true }))).toBeInstanceOf(ReadOnlyError)
      const behind = db.transaction(() => db.status('with a as (select 1 as id) update users set id = 2'), {
        readOnly: true,
      })
      expect(await caught(behind)).toBeInstanceOf(ReadOnlyError)
      expect(await db.transaction(() => ids(), { readOnly: true })).toEqual([])
      await db.transaction(() => insert(2))
      expect(await ids()).toEqual([2])
    })
  })

  test('a transaction has at most the isolation of the sandbox', async () => {
    const serializable = (): Promise<unknown> => db.transaction(() => insert(1), { isolation: 'serializable' })
    const error = await caught(sandboxed(db, serializable))

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error.message).toContain("Open the sandbox with { isolation: 'serializable' }")
    await sandboxed(db, serializable, { isolation: 'serializable' })
    await sandboxed(db, () => db.transaction(() => insert(1), { isolation: 'read committed' }))
  })

  test('rows that come one after the other leave the loop free to run statements', async () => {
    await sandboxed(db, async () => {
      await db.executeMany(
        'insert into users values (?)',
        Array.from({ length: 50 }, (_, at) => [at]),
      )
      for await (const { id } of db.iterate<{ id: number }>('select id from users order by id', [], { batchSize: 2 })) {
        await db.transaction(() => insert(id + 100))
        if (id === 9) break
      }
      expect(await db.scalar('select count(*) from users')).toBe(60)
    })
  })

  test('in a transaction a loop is refused other statements, as outside', async () => {
    const loop = (): Promise<unknown> =>
      db.transaction(async () => {
        for await (const _ of db.iterate('select 1')) await db.scalar('select 2')
      })
    const errors = [await caught(loop()), await sandboxed(db, () => caught(loop()))]

    for (const error of errors) {
      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain('reads its rows as they come')
    }
  })

  const refused: readonly (readonly [text: string, why: string])[] = [
    ['create table things (id int)', 'CREATE commits'],
    ['alter table users add column v int', 'ALTER commits'],
    ['drop table users', 'DROP commits'],
    ['truncate table users', 'TRUNCATE commits'],
    ['lock tables users write', 'LOCK commits'],
    ['analyze table users', 'ANALYZE commits'],
    ['analyze tables users', 'ANALYZE commits'],
    ['load index into cache loose', 'LOAD commits'],
    ['create table temporary (id int)', 'CREATE commits'],
    ['create index temporary on users (id)', 'CREATE commits'],
    ['create or replace view temporary as select 1', 'CREATE commits'],
    ['grant select on users to nobody', 'GRANT commits'],
    ['call adds()', 'a procedure of MySQL may commit'],
    ['set role none', 'SET ROLE'],
    ['set global max_connections = 400', 'SET GLOBAL'],
    ['set @@global.max_connections = 400', 'SET GLOBAL'],
    ['set session transaction read only', 'SET SESSION TRANSACTION'],
    ["set session tx_isolation = 'SERIALIZABLE'", 'SET tx_isolation'],
    ["prepare p from 'select 1'", 'PREPARE cannot run'],
    ['handler users open', 'HANDLER cannot run'],
  ]

  test.each(refused)('is refused before it is sent: %s', async (text, why) => {
    await sandboxed(db, async () => {
      await insert(1)
      using heard = hear('mysql sandbox')
      const error = await caught(db.scope((connection) => connection.status(text)))

      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain(why)
      expect(error.message).toMatch(/opened at .*sandbox\.test\.ts/)
      expect(heard.statements.map(({ outcome }) => outcome)).toEqual(['not_started'])
      expect(await ids()).toEqual([1])
    })
  })

  test.each(['select row_count()', 'select found_rows()', 'show warnings', 'select last_insert_id(), row_count()'])(
    'is refused where it would answer for a statement of another: %s',
    async (text) => {
      await sandboxed(db, async () => {
        const scope = db.scope(
          async (connection) => {
            await connection.status('insert into numbered (v) values (1)')
            await db.scope(() => insert(1), { reuse: false })
            return connection.status(text)
          },
          { hold: true },
        )
        const error = await caught(scope)

        expect(error).toBeInstanceOf(TransactionStateError)
        expect(error.message).toMatch(/Use the answer of status\(\)/)
      })
    },
  )

  test.each([
    'begin',
    'commit and chain',
    'commit and chain no release',
    'rollback release',
    'set autocommit = 0',
    "xa start 'x'",
    'set transaction read only',
  ])('in a transaction by text is refused: %s', async (text) => {
    await sandboxed(db, async () => {
      await using connection = await db.acquire()
      await connection.status('begin')
      await connection.status('insert into users values (1)')

      expect(await caught(connection.status(text))).toBeInstanceOf(TransactionStateError)
      await connection.status('commit')
      expect(await ids()).toEqual([1])
    })
  })

  test('each connection has its own variables and settings, with their types, whoever else runs in between', async () => {
    await sandboxed(db, async () => {
      const [one, other] = [await db.acquire(), await db.acquire()]
      await one.status("set @big = 9007199254740993, @text = 'one', session group_concat_max_len = 2000")
      await other.status("set @text := 'other'")
      await one.status('set @big = @big + 2')
      const of = (connection: typeof one): Promise<unknown> =>
        connection.one('select concat(@big + 1) as big, @text as text, @@group_concat_max_len as most')
      const usual = await db.scalar<number>('select @@global.group_concat_max_len')

      expect(await of(one)).toEqual({ big: '9007199254740996', text: 'one', most: 2000 })
      expect(await of(other)).toEqual({ big: null, text: 'other', most: usual })
      expect(await of(one)).toEqual({ big: '9007199254740996', text: 'one', most: 2000 })
      await one.release()
      await other.release()
      expect(await db.one('select @big as big, @text as text, @@group_concat_max_len as most')).toEqual({
        big: null,
        text: null,
        most: usual,
      })
    })
  })

  test('settings of a transaction that is rolled back stay, as on the server', async () => {
    await sandboxed(db, async () => {
      await using connection = await db.acquire()
      for (const text of ['begin', "set @v = 'kept'", 'rollback']) await connection.status(text)
      await db.all('select 1')
      expect(await connection.scalar('select @v')).toBe('kept')
    })
  })

  test('scopes with settings keep them apart, and each database is that of its scope', async () => {
    await using second = await freshMysql('create table users (id int primary key)', 'insert into users values (7)')
    await sandboxed(db, async () => {
      const seen = (tenant: string): Promise<unknown> =>
        db.scope(
          async () => {
            const first = await db.scalar('select @`app.tenant`')
            await Promise.all([1, 2, 3].map(() => db.all('select 1')))
            return [first, await db.scalar('select @`app.tenant`')]
          },
          { settings: { 'app.tenant': tenant } },
        )
      expect(await Promise.all(['a', 'b', 'c'].map((each) => seen(each)))).toEqual([
        ['a', 'a'],
        ['b', 'b'],
        ['c', 'c'],
      ])
      const there = db.scope(ids, { settings: { database: second.name } })
      expect(await Promise.all([ids(), there, ids()])).toEqual([[], [7], []])
      await db.scope(
        async () => {
          expect(await caught(insert(7))).toBeInstanceOf(UniqueViolationError)
          await insert(8)
          expect(await ids()).toEqual([7, 8])
        },
        { settings: { database: second.name } },
      )
      await db.scope(async (connection) => {
        await connection.status(`use \`${second.name}\``)
        expect(await ids()).toEqual([7, 8])
      })
      expect(await ids()).toEqual([])
    })
    expect(await second.query('select id from users')).toEqual([{ id: 7 }])
  })

  test('temporary tables and locks go when the connection that made them has come back', async () => {
    await sandboxed(db, async () => {
      await db.scope(async (connection) => {
        await connection.status('create temporary table if not exists `a b` (id int)')
        await connection.status('insert into `a b` values (1)')
        expect(await connection.scalar("select get_lock('genever sandbox', 0)")).toBe(1)
        expect(await connection.scalar('select count(*) from `a b`')).toBe(1)
      })
      expect(await caught(db.all('select * from `a b`'))).toMatchObject({ errno: 1146 })
      expect(await server.query("select is_free_lock('genever sandbox') as free")).toEqual([{ free: 1 }])
    })
  })

  test('each connection has what last_insert_id() gives it, whichever turn it is', async () => {
    await sandboxed(db, async () => {
      const ask = async (on: Executor): Promise<number> => Number(await on.scalar('select last_insert_id()'))
      await using one = await db.acquire()
      await using two = await db.acquire()
      const add = async (on: Executor): Promise<number> =>
        Number((await on.status('insert into numbered (v) values (1)')).insertId)
      const first = await add(one)
      const second = await add(two)
      expect(second).toBeGreaterThan(first)
      await add(db)
      expect([await ask(one), await ask(two), await ask(one)]).toEqual([first, second, first])
      // What makes no number leaves it, and so does a key that is given.
      await two.status('update numbered set v = 2')
      await two.status('insert into numbered (id, v) values (1000000, 1)')
      await one.transaction((tx) => tx.status('insert into users values (1)'))
      expect([await ask(two), await ask(one), await ask(two)]).toEqual([second, first, second])
      await one.all('select cast(last_insert_id(18446744073709551615) as char)')
      expect(await ask(two)).toBe(second)
      expect(await one.scalar('select last_insert_id() = 18446744073709551615')).toBe(1)
    })
    expect(await server.query('select * from numbered')).toEqual([])
  })

  test('last_insert_id() answers for the connection whose statement it was', async () => {
    await sandboxed(db, async () => {
      await db.scope(async (connection) => {
        const { insertId } = await connection.status('insert into numbered (v) values (1)')
        expect(await connection.scalar('select last_insert_id()')).toBe(Number(insertId))
      })
      await db.transaction(async (tx) => {
        await tx.status('insert into numbered (v) values (2), (3)')
        expect(await tx.scalar('select row_count()')).toBe(2)
      })
    })
    expect(await server.query('select * from numbered')).toEqual([])
  })

  test('numbers of AUTO_INCREMENT are not taken back', async () => {
    const next = (): Promise<number> =>
      sandboxed(db, async () => Number((await db.status('insert into numbered (v) values (1)')).insertId))
    const first = await next()

    expect(await next()).toBe(first + 1)
  })

  test('a table without transactions is changed for good, and the sandbox says so', async () => {
    const error = await caught(sandboxed(db, () => db.status('insert into loose values (1)')))
    await server.query('delete from loose')

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error).toMatchObject({ outcome: 'committed' })
    expect(error.message).toContain('ENGINE = InnoDB')
  })

  test('a deadlock with a session outside ends the sandbox, which says that all is gone', async () => {
    await server.query('insert into numbered (id, v) values (1, 0), (2, 0), (3, 0), (4, 0)')
    await using other = createDb(server.url)
    const error = await caught(
      sandboxed(db, async () => {
        await db.status('update numbered set v = 1 where id = 1')
        await other.transaction(async (tx) => {
          // The one that has changed less is rolled back.
          await tx.status('update numbered set v = 2 where id > 1')
          const session = await tx.scalar<number>('select connection_id()')
          const behind = tx.status('update numbered set v = 2 where id = 1')
          await until(() => waitsForLock(Number(session)))
          await caught(db.status('update numbered set v = 1 where id = 2'))
          await behind
          tx.raiseRollback()
        })
        expect(await caught(db.all('select 1'))).toBeInstanceOf(TransactionStateError)
      }),
    )

    expect(error).toBeInstanceOf(TransactionStateError)
    expect(error).toMatchObject({ outcome: 'rolled_back', cause: { errno: 1213 } })
    expect(await db.scalar('select sum(v) from numbered')).toBe('0')
    await server.query('delete from numbered')
  })
})
