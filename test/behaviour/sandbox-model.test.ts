/** Programs at random have the same results, errors and rows in a sandbox as outside of one. */

import { createDb, type Db } from 'genever'
import { afterAll, beforeAll, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { postgresWords as words } from '../support/dialect-words.ts'
import { expectSameInSandbox } from '../support/sandbox-programs.ts'

const tables = `
  create table users (id int primary key);
  create table parents (id int primary key);
  create table children (parent int references parents deferrable initially deferred);
`

let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase(tables)
  db = createDb(database.url, { pool: { max: 4 } })
})

afterAll(async () => {
  await db.close()
  await database.drop()
})

const value = words.placeholder(1)
const seen = `
  select array(select id from users order by id) as users, array(select id from parents order by id) as parents,
    array(select parent from children order by parent) as children, coalesce(current_setting('app.tenant', true), '') as tenant`

test('what a program does in a sandbox is what it does outside', { timeout: 600_000 }, () =>
  expectSameInSandbox(
    { db, query: (sql) => database.query(sql) },
    {
      insert: (table) => `insert into ${table} values (${value})`,
      four: words.series(4),
      seen,
      setters: [
        `select set_config('app.tenant', ${value}, true)`,
        `select set_config('app.tenant', ${value}, false)`,
        `select set_config('app.tenant', ${value}, true), (${words.sleep(0)})`,
      ],
      inLoops: true,
    },
  ),
)
