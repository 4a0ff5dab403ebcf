/** What one user of a connection leaves in its session on MySQL, by the client of mysql2 or in a procedure, is not there for the next one. */

import { createDb, type Db, ParameterError } from 'genever'
import type { Connection } from 'mysql2'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, onFreshMysql, type FreshMysql, onMysql } from '../support/mysql.ts'

const apart = [
  ...['TIMESTAMP', 'PSEUDO_THREAD_ID', 'RAND_SEED1', 'RAND_SEED2', 'IN_TRANSACTION', 'WARNING_COUNT', 'ERROR_COUNT'],
  ...['LAST_GTID', 'GTID_BINLOG_STATE'],
]
const variables = `select variable_name as name, variable_value as value from information_schema.session_variables
  where variable_name not in ('${apart.join("', '")}') and variable_name not like 'innodb%' order by 1`

/** All that a user could see of its session. */
async function session(db: Db): Promise<unknown> {
  const refusal = async (text: string): Promise<unknown> => (await caught(db.status(text))).message
  return {
    variables: await db.all(variables),
    own: await db.first(`select @mine as mine, database() as name, current_role() as role, current_user() as me,
      @@in_transaction as open, is_free_lock('left') as free, @@timestamp > 1e9 as now`),
    table: await refusal('select * from mine'),
    prepared: await refusal('execute mine'),
    handler: await refusal('handler t read first'),
  }
}

function answered(call: (done: (error: Error | null, rows?: unknown) => void) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    call((error, rows) => (error ? reject(error) : resolve(rows)))
  })
}

/** Runs a text on the client itself. */
const run = (client: Connection, text: string): Promise<unknown> => answered((done) => client.query(text, done))

const left: Readonly<Record<string, readonly string[]>> = {
  'a time zone': ["set time_zone = '+05:00'"],
  'a time zone that the server was told not to say': [
    "set session_track_system_variables = ''",
    "set time_zone = '+05:00'",
  ],
  'an sql_mode': ["set sql_mode = ''"],
  'a way of reading quotes': ["set sql_mode = 'ANSI_QUOTES'"],
  'no autocommit': ['set autocommit = 0', 'insert into t values (1)'],
  'a character set': ['set names latin1'],
  'results without a character set': ['set character_set_results = null'],
  'an isolation level': ['set session transaction isolation level serializable'],
  'the level of the next transaction': ['set transaction isolation level read uncommitted'],
  'transactions that only read': ['set session transaction read only'],
  'a database': ['use information_schema'],
  'a database that is gone': ['create database NAME_gone', 'use NAME_gone', 'drop database NAME_gone'],
  'a variable': ['set @mine = 5'],
  'a temporary table': ['create temporary table mine (n int)'],
  'a lock': ["do get_lock('left', 0)"],
  'locked tables': ['lock tables t write'],
  'an open transaction': ['begin', 'insert into t values (2)'],
  'a transaction that only reads': ['start transaction read only'],
  'a chain of transactions': ["set completion_type = 'CHAIN'", 'begin'],
  'an XA transaction': ["xa start 'left'", 'insert into t values (3)'],
  'a prepared statement': ["prepare mine from 'select 1'"],
  'an open handler': ['handler t open'],
  'a role': ['set role NAME_role'],
  'limits of time and rows': ['set max_statement_time = 0.001', 'set sql_select_limit = 0'],
  'the last number and the time': ['set last_insert_id = 77', 'set timestamp = 1'],
  'no checks': ['set foreign_key_checks = 0', 'set unique_checks = 0'],
}

describeMysql('of the session of MySQL', () => {
  let server: FreshMysql
  onFreshMysql(['create table t (n int primary key) engine = innodb'], (made) => ({ server } = made))

  const named = (text: string): string => text.replaceAll('NAME', server.name)

  /** One connection, and what its session shows; the role is that of this test. */
  async function withRole(work: (db: Db, before: unknown) => Promise<void>): Promise<void> {
    const role = `${server.name}_role`
    await onMysql(`create role ${role}`)
    try {
      await using db = createDb(server.url, { pool: { max: 1 } })
      await work(db, await session(db))
    } finally {
      await onMysql(`drop role ${role}`)
    }
  }

  test.each(Object.entries(left))('%s that the client has set is not left', (_, texts) =>
    withRole(async (db, before) => {
      const connection = await db.acquire()
      const client = (await connection.rawConnection()) as Connection
      for (const text of texts) await run(client, named(text))
      await connection.release()

      expect(await session(db)).toEqual(before)
      expect(await server.query('select * from t')).toEqual([])
      await db.status('insert into t values (9)')
      expect(await db.status('delete from t')).toMatchObject({ rowCount: 1 })
    }),
  )

  test('another user of the server that the client has become is not the next one', async () => {
    const user = `u${server.name}`.slice(0, 60)
    await onMysql(`create user '${user}'@'%'`)
    await onMysql(`grant all on \`${server.name}\`.* to '${user}'@'%'`)
    try {
      await using db = createDb(server.url, { pool: { max: 1 } })
      const me = await db.scalar('select current_user()')
      const connection = await db.acquire()
      const client = (await connection.rawConnection()) as Connection
      await answered((done) => client.changeUser({ user, database: server.name }, done))
      expect(await run(client, 'select current_user() as me')).toEqual([{ me: `${user}@%` }])
      await connection.release()

      expect(await db.scalar('select current_user()')).toBe(me)
    } finally {
      await onMysql(`drop user '${user}'@'%'`)
    }
  })

  test.each([
    ['a procedure', ['create procedure takes() begin set role NAME_role; end'], 'call takes()'],
    ['SQL that was made in the server', [], "execute immediate 'set role NAME_role'"],
  ])('a role that %s has taken is not left', (_, made, text) =>
    withRole(async (db, before) => {
      for (const each of made) await server.query(named(each))
      await db.status(named(text))

      expect(await session(db)).toEqual(before)
    }),
  )

  test.each([
    'set global key_cache_age_threshold = 300, @mine = 5',
    'set global key_cache_age_threshold = 300, session sql_select_limit = 1',
    'set global key_cache_age_threshold = 300, @@div_precision_increment = 9',
    'set default role none, @mine = 5',
  ])('what %s sets in the session is not left', (text) =>
    withRole(async (db, before) => {
      await db.scope((connection) => connection.status(text))
      expect(await session(db)).toEqual(before)

      if (!text.startsWith('set global')) return
      expect(await caught(db.status(text))).toMatchObject({ code: 'GENEVER_USAGE', outcome: 'not_started' })
      expect(await session(db)).toEqual(before)
    }),
  )

  test('a SET for all sessions alone needs no scope, with as many variables as it has', async () => {
    await using db = createDb(server.url, { pool: { max: 1 } })

    await db.status('set global key_cache_age_threshold = 300, global key_cache_block_size = 1024')
    await db.status('set global key_cache_age_threshold = 300, @@global.key_cache_block_size = 1024')
  })

  test.each(['log', 'st_count', 'mbr_count', 'last_insert_id'])(
    'what a function %s of the user sets is not left, although a function of the server has such a name',
    (name) =>
      withRole(async (db, before) => {
        await server.query(`create or replace function \`${name}\`() returns int begin set @mine = 5; return 1; end`)
        await db.scope(async (connection) => {
          expect(await connection.scalar(`select ${server.name}.${name}()`)).toBe(1)
          expect(await connection.scalar('select @mine')).toBe(5)
        })

        expect(await session(db)).toEqual(before)
        await server.query(`drop function \`${server.name}\`.\`${name}\``)
      }),
  )

  test.each([
    ['a trigger', 'insert into t values (5)', 'set @mine = 5'],
    ['a trigger', 'insert into t values (5)', 'set session sql_select_limit = 1'],
    ['a function that a view calls', 'select * from seen', 'set @mine = 5'],
    ['a function that a view calls', 'select * from seen', 'create temporary table mine (n int)'],
  ])('what %s sets is not left: %s, %s', (by, text, sets) =>
    withRole(async (db, before) => {
      await server.query(
        by === 'a trigger'
          ? `create trigger sets before insert on t for each row ${sets}`
          : `create function sets() returns int begin ${sets}; return 1; end`,
      )
      if (by !== 'a trigger') await server.query('create view seen as select sets() as n')
      try {
        await db.status(text)
        expect(await session(db)).toEqual(before)
        await db.transaction((tx) => tx.status(text.replace('5', '6')))
        expect(await session(db)).toEqual(before)
      } finally {
        await server.query(by === 'a trigger' ? 'drop trigger sets' : 'drop function sets')
        if (by !== 'a trigger') await server.query('drop view seen')
        await server.query('delete from t')
      }
    }),
  )

  test('what a trigger sets stays with its scope, also while others wait, and is said to be why', async () => {
    await server.query('create trigger sets before insert on t for each row set @mine = new.n')
    await using db = createDb(server.url, { pool: { max: 1, acquireTimeoutMs: 2000 } })
    try {
      await db.scope(async () => {
        await db.status('insert into t values (7)')
        const waits = caught(db.detached(() => db.scalar('select @mine')))
        expect((await waits).message).toContain('what a trigger or a function has set')
        expect(await db.scalar('select @mine')).toBe(7)
      })
      expect(await db.scalar('select @mine')).toBe(null)
    } finally {
      await server.query('drop trigger sets')
      await server.query('delete from t')
    }
  })

  test('a trigger that sets nothing of the session costs no reset', async () => {
    await server.query(
      'create trigger sets before insert on t for each row begin declare n int; set n = 5; set new.n = n + new.n; end',
    )
    await using db = createDb(server.url, { pool: { max: 1 } })
    try {
      for (const n of [1, 2, 3]) await db.status('insert into t values (?)', [n])
      // A reset begins to count again.
      expect(await db.first("show session status like 'Com_insert'")).toMatchObject({ Value: '3' })
      expect(await db.scalar('select sum(n) from t')).toBe('21')
    } finally {
      await server.query('drop trigger sets')
      await server.query('delete from t')
    }
  })

  test('a statement that the client has prepared is prepared again by the next one', async () => {
    await using db = createDb(server.url, { pool: { max: 1 } })
    for (const n of [1, 2]) {
      const connection = await db.acquire()
      const client = (await connection.rawConnection()) as Connection
      const rows = await answered((done) => client.execute('select ? + 1 as n', [n], done))
      expect(rows).toEqual([{ n: n + 1 }])
      await connection.release()
      expect(await db.scalar('select 7 + ?', [n])).toBe(7 + n)
    }
  })
})

describeMysql('a statement that is larger than max_allowed_packet', () => {
  test('is refused by name before anything is sent, in its text and in its parameters', async () => {
    await using server = await freshMysql('create table t (n int)')
    await using db = createDb(server.url, { pool: { max: 1 } })
    const most = (await db.scalar('select @@max_allowed_packet')) as number
    const id = await db.scalar('select connection_id()')
    // The packet of one text has 18 bytes beside it.
    const fits = Buffer.alloc(most - 1 - 18, 'a')
    const above = Buffer.alloc(most - 18, 'a')
    expect(await db.scalar('select length(?)', [fits])).toBe(fits.length)
    await db.transaction(async (tx) => {
      await tx.status('insert into t values (1)')
      for (const [text, params] of [
        ['select length(?)', [above]],
        ['select length(?)', [above.toString()]],
        [`select length('${above.toString()}')`, []],
      ] as const) {
        const error = await caught(tx.scalar(text, params))
        expect(error).toBeInstanceOf(ParameterError)
        expect(error).toMatchObject({ outcome: 'not_started', message: expect.stringContaining(`less than ${most}`) })
      }
    })
    expect(await db.first('select connection_id() as id, (select count(*) from t) as rows_there')).toEqual({
      id,
      rows_there: 1,
    })
  })
})
