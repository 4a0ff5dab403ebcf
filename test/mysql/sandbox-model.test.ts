/** Programs at random have the same results, errors and rows in a sandbox on MySQL as outside of one. */

import type { Db } from 'genever'
import { test } from 'vitest'
import { mysqlWords as words } from '../support/dialect-words.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'
import { expectSameInSandbox } from '../support/sandbox-programs.ts'

let server: FreshMysql
let db: Db

const listed = (column: string, table: string): string =>
  `(select group_concat(${column} order by ${column}) from ${table}) as ${table}`
const seen = `select ${listed('id', 'users')}, ${listed('id', 'parents')}, ${listed('parent', 'children')}, @\`app.tenant\` as tenant`

describeMysql('a sandbox on MySQL', () => {
  onFreshMysql(
    [
      'create table users (id int primary key)',
      'create table parents (id int primary key)',
      'create table children (parent int, foreign key (parent) references parents (id))',
    ],
    (made) => void ({ server, db } = made),
    { pool: { max: 4, acquireTimeoutMs: 30_000 } },
  )

  test('what a program does in it is what it does outside', { timeout: 600_000 }, () =>
    expectSameInSandbox(
      { db, query: (sql) => server.query(sql) },
      {
        insert: (table) => `insert into ${table} values (?)`,
        four: words.series(4),
        seen,
        setters: [
          'set @`app.tenant` = ?',
          'select @`app.tenant` := ? as tenant',
          'set session sort_buffer_size = 1000000 + ?',
        ],
        inLoops: false,
      },
    ),
  )
})
