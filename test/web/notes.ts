/** A table of notes that handlers write into, empty for each test, and what is kept of them when nothing runs any more. */

import { createDb, type Db, isGeneverError } from 'genever'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { quiet } from '../support/matrix.ts'

export interface Notes {
  /** Of its database. */
  readonly url: string
  /** Connections apart from those under test: what they see has been committed. */
  readonly query: FreshDatabase['query']
  /** Opens a database for the running test. It is closed when the test has ended, and then nothing may have been broken. */
  open(max: number): Promise<Db>
  /** The notes that were committed, in order, once the databases of the test that are not closed lend nothing. */
  kept(): Promise<unknown[]>
}

/** Declares the table for the tests of a file. `sql` may make more tables, which are emptied too. */
export function notesTable(sql = 'create table notes (text text)'): Notes {
  let database: FreshDatabase
  let tables: string
  const opened: Db[] = []

  beforeAll(async () => {
    database = await freshDatabase(sql)
    const named = await database.query("select tablename from pg_tables where schemaname = 'public'")
    tables = named.map(({ tablename }) => tablename).join(', ')
  })
  beforeEach(() => database.query(`truncate ${tables}`))
  afterEach(async () => {
    const closed = await Promise.all(opened.splice(0).map((db) => db.close()))
    expect(closed.flatMap(({ broken }) => broken)).toEqual([])
  })
  afterAll(() => database.drop())

  return {
    get url() {
      return database.url
    },
    query: (text, params) => database.query(text, params),
    async open(max) {
      const db = await createDb(database.url, { pool: { max } }).open()
      opened.push(db)
      return db
    },
    async kept() {
      for (const db of opened) if (isOpen(db)) await quiet(db)
      return (await database.query('select text from notes order by 1')).map(({ text }) => text)
    },
  }
}

function isOpen(db: Db): boolean {
  try {
    db.stats()
    return true
  } catch (error) {
    if (isGeneverError(error, 'GENEVER_POOL_CLOSED')) return false
    throw error
  }
}
