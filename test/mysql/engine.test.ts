/** The engine on a real MySQL or MariaDB: scopes, transactions, errors and settings, by the sentences of docs/mysql.md. */

import { createDb, type Db, type EngineOptions, type GeneverError, type Transaction } from 'genever'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'

describeMysql('the engine on MySQL', () => {
  let server: FreshMysql
  let db: Db
  const others: Db[] = []
  const open = (options?: EngineOptions): Db => {
    const made = createDb(server.url, options)
    others.push(made)
    return made
  }

  beforeAll(async () => {
    server = await freshMysql(
      'create table t (id int primary key auto_increment, v varchar(20) unique, n int not null default 0)',
    )
  })
  beforeEach(async () => {
    await server.query('delete from t')
    db = open()
  })
  afterEach(async () => {
    for (const each of others.splice(0)) expect((await each.close({ timeoutMs: 5_000 })).broken).toEqual([])
  })
  afterAll(() => server[Symbol.asyncDispose]())

  const rows = async (): Promise<unknown[]> => (await server.query('select v from t order by id')).map(({ v }) => v)

  test('a tagged query is written for MySQL also before the database is open', async () => {
    expect(await db.scalar(db.sql`select ${5} + ${6}`)).toBe(11)
    expect(await db.scalar('select :a + :b + :a', { a: 1, b: 2 })).toBe(4)
  })

  test('a transaction commits what it did, and rolls back what threw', async () => {
    await db.transaction((tx) => tx.status('insert into t (v) values (?)', ['kept']))
    await caught(
      db.transaction(async (tx) => {
        await tx.status('insert into t (v) values (?)', ['gone'])
        throw new Error('no')
      }),
    )

    expect(await rows()).toEqual(['kept'])
  })

  test('a failed statement whose error was swallowed keeps the commit from happening, although the server would', async () => {
    const error = await caught(
      db.transaction(async (tx) => {
        await tx.status("insert into t (v) values ('a')")
        await caught(tx.status("insert into t (v) values ('a')"))
      }),
    )

    expect(error.name).toBe('TransactionAbortedError')
    expect(await rows()).toEqual([])
  })

  test('in a transaction begun by text the server goes on after a failure, and COMMIT commits', async () => {
    await using connection = await db.acquire()
    await connection.status('begin')
    await connection.status("insert into t (v) values ('typed')")
    await caught(connection.status("insert into t (v) values ('typed')"))
    expect(await connection.scalar('select count(*) from t')).toBe(1)
    await connection.status('commit')

    expect(await rows()).toEqual(['typed'])
  })

  test('a nested transaction that fails leaves the one around it open', async () => {
    await db.transaction(async (tx) => {
      await tx.status("insert into t (v) values ('a')")
      const error = await caught(tx.transaction((inner) => inner.status("insert into t (v) values ('a')")))
      expect(error.name).toBe('UniqueViolationError')
      await tx.status("insert into t (v) values ('b')")
    })

    expect(await rows()).toEqual(['a', 'b'])
  })

  test('a deadlock takes all of the transaction away, and retry runs it again', async () => {
    await server.query("insert into t (id, v) values (1, 'x'), (2, 'y')")
    let met = 0
    let meet: () => void = () => {}
    const both = new Promise<void>((resolve) => (meet = resolve))
    let attempts = 0
    const work = (first: number, second: number): Promise<void> =>
      db.transaction(
        async (tx) => {
          attempts++
          await tx.status('update t set n = n + 1 where id = ?', [first])
          if (++met === 2) meet()
          await both
          await tx.transaction((inner) => inner.status('update t set n = n + 1 where id = ?', [second]))
        },
        { retry: 3 },
      )
    await Promise.all([work(1, 2), work(2, 1)])

    expect(attempts).toBe(3)
    expect(await server.query('select n from t order by id')).toEqual([{ n: 2 }, { n: 2 }])
  })

  test('after a deadlock whose error was swallowed nothing more is sent, and nothing is committed', async () => {
    await server.query("insert into t (id, v) values (1, 'x'), (2, 'y')")
    let met = 0
    let meet: () => void = () => {}
    const both = new Promise<void>((resolve) => (meet = resolve))
    const errors: GeneverError[] = []
    const work = async (first: number, second: number): Promise<string> =>
      db
        .transaction(async (tx) => {
          await tx.status('update t set n = n + 1 where id = ?', [first])
          if (++met === 2) meet()
          await both
          const error = await tx.status('update t set n = n + 1 where id = ?', [second]).then(
            () => null,
            (thrown: unknown) => thrown as GeneverError,
          )
          if (error === null) return 'well'
          errors.push(error)
          await tx.status("insert into t (v) values ('outside')")
          return 'never'
        })
        .catch((error: unknown) => (error as Error).name)

    expect((await Promise.all([work(1, 2), work(2, 1)])).toSorted()).toEqual(['TransactionAbortedError', 'well'])
    expect(errors.map(({ name }) => name)).toEqual(['DeadlockDetectedError'])
    expect(await rows()).toEqual(['x', 'y'])
  })

  test('in a transaction begun by text nothing more is sent after a deadlock, until it is ended or begun again', async () => {
    await server.query("insert into t (id, v) values (1, 'x'), (2, 'y')")
    await using one = await db.acquire()
    await using other = await db.acquire()
    for (const [connection, id] of [
      [one, 1],
      [other, 2],
    ] as const) {
      await connection.status('begin')
      await connection.status('update t set n = n + 1 where id = ?', [id])
    }
    // The server takes the one away, so the other has its lock.
    const across = await Promise.allSettled([
      one.status('update t set n = n + 1 where id = 2'),
      other.status('update t set n = n + 1 where id = 1'),
    ])
    const [loser, winner] = across[0].status === 'rejected' ? [one, other] : [other, one]
    expect(across.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    await winner.status('rollback')

    for (const text of ["insert into t (v) values ('outside')", 'select 1', 'commit'])
      expect(await caught(loser.status(text))).toMatchObject({
        name: 'TransactionAbortedError',
        cause: { name: 'DeadlockDetectedError' },
      })
    await loser.status('begin')
    await loser.status("insert into t (v) values ('again')")
    await loser.status('commit')
    expect(await rows()).toEqual(['x', 'y', 'again'])
  })

  test('a lock that is waited for too long undoes its statement alone, and retry rolls all back first', async () => {
    await server.query("insert into t (id, v) values (1, 'x')")
    const holder = await db.acquire()
    const held = await holder.begin()
    await held.status('update t set n = 5 where id = 1')
    let attempts = 0
    const waiting = db.transaction(
      async (tx) => {
        attempts++
        if (attempts === 2) await held.commit()
        await tx.status("insert into t (v) values ('once')")
        await tx.scalar('select n from t where id = 1 for update wait 1')
      },
      { retry: 2 },
    )
    await waiting
    await holder.release()

    expect(attempts).toBe(2)
    expect(await rows()).toEqual(['x', 'once'])
    const error = await caught(
      db.scope(async () => {
        const other = await db.acquire({ reuse: false })
        const tx = await other.begin()
        await tx.status('update t set n = 6 where id = 1')
        const refused = await caught(db.scalar('select n from t where id = 1 for update nowait'))
        await tx.rollback()
        await other.release()
        throw refused
      }),
    )
    expect(error.name).toBe('LockTimeoutError')
  })

  test.each([
    'create table other (a int)',
    'truncate table t',
    'lock tables t write',
    'alter table t add column x int',
    'analyze table t',
    'start slave',
    'call nothing()',
  ])('%s is refused inside a transaction before it is sent', async (text) => {
    await db.transaction(async (tx) => {
      await tx.status("insert into t (v) values ('a')")
      const error = await caught(tx.transaction((inner) => inner.status(text)))
      expect(['TransactionStateError', 'UsageError']).toContain(error.name)
      expect(error.outcome).toBe('not_started')
      await tx.status("insert into t (v) values ('b')")
    })

    expect(await rows()).toEqual(['a', 'b'])
  })

  test('the isolation level of a transaction reaches no other', async () => {
    const single = open({ pool: { max: 1 } })
    const count = (on: Transaction): Promise<unknown> => on.scalar('select count(*) from t')
    await server.query("insert into t (v) values ('a')")

    await single.transaction(() => {}, { isolation: 'serializable' })
    await single.transaction(async (tx) => {
      await count(tx)
      // A transaction that is serializable would have locked the row which it read.
      expect(await server.query('select v from t for update nowait')).toEqual([{ v: 'a' }])
    })
    await single.transaction((tx) => count(tx), { isolation: 'read committed' })
    await single.transaction(async (tx) => {
      const before = await count(tx)
      await server.query("insert into t (v) values ('b')")
      expect(await count(tx)).toBe(before)
    })
  })

  test('a transaction that is read only refuses to write', async () => {
    const error = await caught(db.transaction((tx) => tx.status("insert into t (v) values ('a')"), { readOnly: true }))

    expect(error.name).toBe('ReadOnlyError')
  })

  test.each([
    ['read-only', 'ReadOnlyError', false],
    ['super-read-only', 'ReadOnlyError', false],
    ['secure-file-priv', 'QueryError', true],
  ])('a server that runs with --%s refuses by a %s', async (option, name, stays) => {
    const single = open({ pool: { max: 1 } })
    const id = await single.scalar('select connection_id() + 0')
    const message = `The MariaDB server is running with the --${option} option so it cannot execute this statement`
    await server.query(
      "create or replace procedure refuse(said text) signal sqlstate 'HY000' set mysql_errno = 1290, message_text = said",
    )
    const error = await caught(single.status('call refuse(?)', [message]))

    expect(error).toMatchObject({ name, errno: 1290 })
    expect((await single.scalar('select connection_id() + 0')) === id).toBe(stays)
  })

  test('settings of a scope are variables and settings of its session, and the next user has neither', async () => {
    const single = open({ pool: { max: 1 } })
    const look = (): Promise<unknown> =>
      single.first('select @`app.tenant` as tenant, cast(@@max_statement_time as signed) as most')
    const seen = await single.scope(look, { settings: { 'app.tenant': "it's \\ 7", max_statement_time: '9' } })

    expect(seen).toEqual({ tenant: "it's \\ 7", most: 9 })
    expect(await look()).toEqual({ tenant: null, most: 0 })
  })

  test('a whole number among the settings of the engine may be text, as among those of a scope', async () => {
    const other = open({ settings: { innodb_lock_wait_timeout: '7', 'app.version': '7' } })
    const [row] = await other.all('select @@innodb_lock_wait_timeout as seconds, @`app.version` as version')

    expect(row).toEqual({ seconds: 7, version: '7' })
  })

  test('what onConnect sets is there after every reset', async () => {
    const single = open({
      pool: { max: 1 },
      async onConnect(connection) {
        await connection.status("set @region = 'eu', session max_statement_time = 30")
      },
    })
    const look = (): Promise<unknown> =>
      single.first('select @region as region, cast(@@max_statement_time as signed) as most')

    await single.scope(() => single.status("set @region = 'us'"))
    expect(await look()).toEqual({ region: 'eu', most: 30 })
    await single.scope(() => single.status('create temporary table temp_region (a int)'))
    expect(await look()).toEqual({ region: 'eu', most: 30 })
  })

  test('a temporary table keeps its scope on one connection, and is gone for the next', async () => {
    const single = open({ pool: { max: 2 } })
    await single.scope(async () => {
      await single.status('create temporary table temp_scope (a int)')
      await Promise.all([1, 2, 3].map((a) => single.status('insert into temp_scope values (?)', [a])))
      expect(await single.scalar('select count(*) from temp_scope')).toBe(3)
    })

    expect((await caught(single.all('select * from temp_scope'))).name).toBe('SqlSyntaxError')
  })

  test.each([
    "select get_lock('a', 0)",
    'set @a = 1',
    'set session sort_buffer_size = 100000',
    'create temporary table temp_nowhere (a int)',
    'use `other`',
    'set role none',
    'handler t open',
    'select @a := 5',
    "prepare s from 'select 1'",
    'lock tables t read',
  ])('%s is refused without a scope: its state would be undone at once', async (text) => {
    const error = await caught(db.status(text))

    expect([error.name, error.outcome]).toEqual(['UsageError', 'not_started'])
  })

  test.each([
    'update t join (select @n := 0) x set v = (@n := @n + 1) where t.id > 0 or (@n := 4)',
    "insert into t (v) select @n := 'a'",
    'do @n := 1',
    'get diagnostics @n = number',
  ])('a variable that is set on the way is not there for the next user: %s', async (text) => {
    await using single = createDb(server.url, { pool: { max: 1 } })
    await single.scope(async () => {
      await single.status("insert into t (v) values ('z')")
      await single.status(text)
    })
    expect(await single.scalar('select @n')).toBe(null)
  })

  test('the last number of a session is refused without a scope, and answered behind the INSERT', async () => {
    for (const text of ['select last_insert_id()', 'select row_count()', 'show warnings', 'select @@identity'])
      expect((await caught(db.status(text))).message).toContain('last number of their session')
    const [id, given] = await db.scope(async () => {
      await db.status("insert into t (v) values ('a')")
      return [await db.scalar('select last_insert_id()'), await db.scalar('select id from t')]
    })
    expect(id).toBe(given)
  })

  test.each([
    'set names latin1',
    "set character_set_client = 'latin1'",
    'set charset latin1',
    "set sql_mode = 'ANSI'",
    'set sql_mode = @x',
  ])('%s is refused: texts would be read in another way', async (text) => {
    expect((await caught(db.scope(() => db.status(text)))).name).toBe('UsageError')
    expect(await db.scalar('select ?', ['ü'])).toBe('ü')
  })

  test('a statement that takes too long is stopped, and the connection serves the next', async () => {
    const single = open({ pool: { max: 1 }, cancelTimeoutMs: 50_000 })
    const id = await single.scalar('select connection_id() + 0')
    const error = await caught(single.scalar('select sleep(60)', [], { timeoutMs: 100 }))

    expect(error.name).toBe('QueryTimeoutError')
    expect(await single.scalar('select connection_id() + 0')).toBe(id)
  })

  test.each<readonly [string, string, object]>([
    ["insert into t (v) values ('dup')", 'UniqueViolationError', { constraint: 'v', errno: 1062, sqlState: '23000' }],
    ['insert into t (n) values (null)', 'NotNullViolationError', { column: 'n', errno: 1048 }],
    ['select nowhere from t', 'SqlSyntaxError', { errno: 1054 }],
    ['selec 1', 'SqlSyntaxError', { errno: 1064 }],
    [
      'insert into child values (-5)',
      'ForeignKeyViolationError',
      { errno: 1452, constraint: 'child_of', table: 'child' },
    ],
    ['insert into checked values (-1)', 'CheckViolationError', { errno: 4025, constraint: 'positive' }],
    ["insert into t (v) values (repeat('x', 99))", 'QueryError', { errno: 1406, column: 'v' }],
  ])('%s is a %s', async (text, name, members) => {
    await server.query("insert into t (v) values ('dup')")
    await server.query(
      'create table if not exists child (p int, constraint child_of foreign key (p) references t (id))',
    )
    await server.query('create table if not exists checked (a int, constraint positive check (a > 0))')
    const error = await caught(db.status(text))

    expect(error.name).toBe(name)
    expect(error).toMatchObject({ ...members, outcome: 'rolled_back' })
    expect(error.message).not.toContain('dup')
  })

  test.each<readonly [string, (url: URL) => void, string, object]>([
    [
      'a database that is not there',
      (url) => (url.pathname = '/nowhere'),
      'ConnectError',
      { errno: 1049, sqlState: '42000', retryable: false },
    ],
    [
      'a wrong password',
      (url) => Object.assign(url, { username: 'nobody', password: 'wrong' }),
      'AuthenticationError',
      { errno: 1045, sqlState: '28000', retryable: false },
    ],
  ])('%s is refused with the number of the error and its state', async (_, change, name, members) => {
    const url = new URL(server.url)
    change(url)
    const error = await caught(createDb(url.href).open())

    expect(error.name).toBe(name)
    expect(error).toMatchObject({ ...members, outcome: 'not_started' })
  })

  test('a row that other rows refer to is a conflict, a row that refers to none is a mistake in the data', async () => {
    await server.query(
      'create table if not exists child (p int, constraint child_of foreign key (p) references t (id))',
    )
    const conflict = await caught(
      db.transaction(async (tx) => {
        await tx.status("insert into t (id, v) values (77, 'parent')")
        await tx.status('insert into child values (77)')
        await tx.status('delete from t where id = 77')
      }),
    )
    const mistake = await caught(db.status('insert into child values (-5)'))

    expect([conflict, mistake]).toMatchObject([
      { name: 'ForeignKeyViolationError', suggestedStatus: 409 },
      { name: 'ForeignKeyViolationError', suggestedStatus: 422 },
    ])
  })

  test('executeMany runs all sets or none', async () => {
    const { rowCount } = await db.executeMany('insert into t (v) values (?)', [['a'], ['b']])
    expect(rowCount).toBe(2)
    await caught(db.executeMany('insert into t (v) values (?)', [['c'], ['a']]))
    expect(await rows()).toEqual(['a', 'b'])
  })

  test('RETURNING gives the rows of an INSERT', async () => {
    const row = await db.one<{ id: number; v: string }>('insert into t (v) values (?) returning id, v', ['a'])
    expect(row.v).toBe('a')
  })

  test.each<readonly [string, object]>([
    ['resolveCommitMs', { resolveCommitMs: 100 }],
    ['idleTimeoutMs', { idleTimeoutMs: 100 }],
    ['deferrable', { deferrable: true }],
  ])('the option %s of a transaction is refused by name', async (name, options) => {
    const error = await caught(db.transaction((tx) => tx.scalar('select 1'), options))

    expect([error.name, error.message.includes(name)]).toEqual(['UsageError', true])
  })

  test('an answer is counted: rows that an update matches count although nothing changed', async () => {
    await server.query("insert into t (v, n) values ('a', 5), ('b', 5)")
    const { command, rowCount } = await db.status('update t set n = 5')

    expect([command, rowCount]).toEqual(['UPDATE', 2])
  })
})
