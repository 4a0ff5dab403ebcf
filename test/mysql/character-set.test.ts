/** Text is sent and read as utf8mb4: another character set is refused at every door that sets one, or taken away. */

import { createDb, type Db, InvalidOptionError, UsageError } from 'genever'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { installedMariadb, startMariadb } from '../support/mariadb.ts'
import { dbOfTest, describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'

const text = 'é ☃ 😀'

describeMysql('the character set of MySQL', () => {
  let server: FreshMysql
  beforeAll(async () => {
    server = await freshMysql(
      'create table words (word varchar(20)) character set utf8mb4',
      'create procedure moves() begin set names latin1; end',
      'create procedure takes_it_away() begin set character_set_results = null; end',
      "create procedure moves_and_fails() begin set names latin1; signal sqlstate '45000'; end",
      'create procedure moves_and_answers() begin set names latin1; select 1 as a; end',
      'create procedure moves_back() begin set names latin1; set names utf8mb4; end',
      'create function moved() returns int begin set character_set_results = latin1; return 1; end',
    )
    await server.query('insert into words values (?)', [text])
  })
  afterAll(() => server[Symbol.asyncDispose]())

  const open = (options: object = {}): Db => dbOfTest(server.url, options)

  const names = ['character_set_client', 'Character_Set_Results', 'character_set_connection', 'collation_connection']

  test.each(names)('another one is refused among the settings of an engine and of a scope: %s', async (name) => {
    for (const value of ['latin1', 'utf8mb3', 'binary']) {
      const settings = { [name]: value }
      const wrong = await caught(open({ settings }).all('select 1'))
      expect([wrong.constructor, wrong.message]).toEqual([
        InvalidOptionError,
        expect.stringMatching(/only be of utf8mb4/),
      ])
      const error = await caught(open().scope((conn) => conn.all('select 1'), { settings }))
      expect([error.constructor, error.message]).toEqual([UsageError, expect.stringMatching(/only be of utf8mb4/)])
    }
  })

  test.each([
    'call moves()',
    'call takes_it_away()',
    'call moves_and_fails()',
    'call moves_and_answers()',
    'select moved()',
    "execute immediate 'set names latin1'",
    "execute immediate 'set collation_connection = latin1_bin'",
  ])('a session in which %s changes it is closed, and the next one reads text as it is', async (sql) => {
    const db = open()
    const error = await caught(
      db.scope(async () => {
        await db.all(sql)
        return db.all('select word from words')
      }),
    )
    expect([error.constructor, error.message]).toEqual([
      UsageError,
      expect.stringContaining('has changed the character set of the session, so its connection was closed'),
    ])
    expect(await db.scalar('select word from words')).toBe(text)
  })

  test.each([
    "set statement character_set_results = latin1 for select 'é'",
    'set collation_connection = latin1_bin',
    "set session collation_connection := 'utf8mb3_bin'",
  ])('%s is refused', async (sql) => {
    const error = await caught(open().scope((conn) => conn.all(sql)))
    expect([error.constructor, error.message]).toEqual([UsageError, expect.stringMatching(/only be utf8mb4/)])
  })

  test('a procedure that sets it back keeps its session', async () => {
    const db = open()
    await db.scope(async () => {
      const before = await db.scalar('select connection_id()')
      await db.status('call moves_back()')
      expect(await db.all('select connection_id() as id, word from words')).toEqual([{ id: before, word: text }])
    })
  })

  test('a collation of utf8mb4 may be set, and the next user has the one of the session', async () => {
    const db = open()
    const collation = 'select @@collation_connection'
    const usual = await db.scalar(collation)
    for (const sql of ["set collation_connection = 'utf8mb4_bin'", 'set names utf8mb4 collate utf8mb4_bin']) {
      await db.scope(async () => {
        await db.status(sql)
        expect(await db.scalar(collation)).toBe('utf8mb4_bin')
      })
      expect(await db.scalar(collation)).toBe(usual)
    }
    expect(await open({ settings: { collation_connection: 'utf8mb4_bin' } }).scalar(collation)).toBe('utf8mb4_bin')
  })

  test('what the driver hears of such changes by cannot be turned off by settings', async () => {
    for (const name of ['session_track_system_variables', 'session_track_schema', 'session_track_state_change']) {
      const error = await caught(open().scope((conn) => conn.all('select 1'), { settings: { [name]: '' } }))
      expect([error.constructor, error.message]).toEqual([UsageError, expect.stringContaining('belongs to the driver')])
    }
  })

  test.each([
    ['does not listen to what clients ask for', ['--skip-character-set-client-handshake']],
    ['sets another one when somebody connects', ['--init-connect=set names latin1']],
  ])('a server that %s is used with utf8mb4, also behind a reset', async (_, flags) => {
    if ((await installedMariadb()) === undefined) return
    const other = await startMariadb([
      ...flags,
      '--character-set-server=latin1',
      '--collation-server=latin1_swedish_ci',
    ])
    try {
      const admin = await createConnection(other.url)
      await admin.query("create user somebody@'%'")
      await admin.query("grant all on test.* to somebody@'%'")
      await admin.query('create table words (word varchar(20)) character set utf8mb4')
      const url = new URL(other.url)
      url.username = 'somebody'
      await using db = createDb(url.href, { pool: { max: 1 }, settings: { 'app.word': text } })
      for (let round = 0; round < 2; round++) {
        await db.status(`insert into words values ('${text}')`)
        await db.status('insert into words values (?)', [text])
        expect(await db.scalar('select @`app.word`')).toBe(text)
        // It has no name: only a reset by the server undoes it.
        await db.scope(() => db.status('create temporary table temporary_words (n int)'))
      }
      expect(await db.all('select distinct word from words')).toEqual([{ word: text }])
      const [stored] = await admin.query('select distinct hex(word) as hex from words')
      expect(stored).toEqual([{ hex: Buffer.from(text).toString('hex').toUpperCase() }])
      await admin.end()
    } finally {
      await other.stop()
    }
  })
})
