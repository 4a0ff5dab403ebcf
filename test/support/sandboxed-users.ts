/** A database with a table of users, opened anew for each test of sandboxes, which may leave nothing behind in it. */

import { createDb, type Db } from 'genever'
import { afterEach, beforeAll, beforeEach, expect } from 'vitest'
import type { TestedDatabase, TestedDriver } from './matrix.ts'

export class Users {
  readonly #driver: TestedDriver
  #database: TestedDatabase | null = null
  #db: Db | null = null

  /** Opens and closes it around the tests that are declared beside this. */
  constructor(driver: TestedDriver) {
    this.#driver = driver
    beforeAll(async () => {
      this.#database = await this.#driver.fresh('create table users (id int primary key)')
      return () => this.#database?.[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      this.#db = await this.opened(30_000)
    })
    afterEach(async () => {
      expect((await this.db.close({ timeoutMs: 30_000 })).broken).toEqual([])
      expect(await this.#database?.query('select id from users'), 'left behind in the database').toEqual([])
    })
  }

  get db(): Db {
    return this.#db as Db
  }

  get url(): string {
    return (this.#database as TestedDatabase).url
  }

  /** Another engine on the same database. */
  opened(acquireTimeoutMs: number): Promise<Db> {
    return createDb(this.url, { pool: { max: 3, acquireTimeoutMs }, cancelTimeoutMs: 30_000 }).open()
  }

  insert(id: number): Promise<unknown> {
    return this.db.status('insert into users values (:id)', { id })
  }

  async ids(): Promise<unknown[]> {
    return (await this.db.all<{ id: number }>('select id from users order by id')).map(({ id }) => id)
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
