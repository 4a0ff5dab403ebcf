/** Two Drizzles on equal databases: one on our client, one on a pool of node-postgres. */

import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { npmVersion } from 'drizzle-orm/version'
import { createDb, type Db, type EngineOptions, type Executor } from 'genever'
import { ambient } from 'genever/drizzle'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest'
import { freshDatabase, type FreshDatabase } from '../support/database.ts'
import { type DriverName, wantedDrivers } from '../support/extent.ts'
import { until } from '../support/until.ts'

export const is1: boolean = npmVersion.startsWith('1.')

/** A Drizzle as far as tables, without relations. */
export type Drizzle = Pick<
  NodePgDatabase,
  'select' | 'selectDistinct' | 'insert' | 'update' | 'delete' | 'with' | '$with' | '$count' | 'execute' | 'transaction'
>

export interface Bench {
  readonly driver: DriverName
  /** Open; at the end of a test nothing may be lent or waiting. */
  readonly db: Db
  /** Drizzle on our client. */
  readonly ours: Drizzle
  /** Drizzle on a pool of node-postgres, in a database of its own on a real server whatever the driver. */
  readonly theirs: Drizzle
  /** Runs SQL in both databases. */
  both(sql: string): Promise<void>
  /** Another db on the database of `db`, closed at the end of the test. */
  open(options?: EngineOptions): Promise<Db>
}

/** Declares the suite for both drivers; `ddl` is run in a database for this file. */
export function onBoth(ddl: string, suite: (bench: Bench) => void, config?: object): void {
  for (const driver of wantedDrivers()) {
    describe(driver, () => {
      let database: FreshDatabase
      let other: FreshDatabase
      let pool: pg.Pool
      let db: Db
      let url = ''
      let ours: Drizzle
      let theirs: Drizzle
      const opened: Db[] = []

      beforeAll(async () => {
        database = await freshDatabase(ddl)
        other = await freshDatabase(ddl)
        url =
          driver !== 'pglite'
            ? other.url.replace(/^\w+:/, `${driver}:`)
            : `pglite://memory/drizzle_${process.pid}_${++made}`
        pool = new pg.Pool({ connectionString: database.url, max: 3 })
        db = await createDb(url, { pool: { idleTimeoutMs: Infinity, maxLifetimeMs: Infinity } }).open()
        if (driver === 'pglite') await db.status(ddl)
        ours = ambientOn(db, config)
        theirs = drizzle({ client: pool, ...config })
      })
      afterEach(async () => {
        const quiet = (one: Db): boolean => {
          const { reserved, serving, waiting } = one.stats()
          return reserved + serving + waiting === 0
        }
        await until(() => quiet(db), { what: 'nothing is lent' })
        for (const one of opened.splice(0)) await one.close()
      })
      afterAll(async () => {
        await db.close()
        await pool.end()
        await database.drop()
        await other.drop()
      })

      suite({
        driver,
        get db() {
          return db
        },
        get ours() {
          return ours
        },
        get theirs() {
          return theirs
        },
        async both(sql) {
          await pool.query(sql)
          await db.status(sql)
        },
        async open(options) {
          const one = await createDb(url, options).open()
          opened.push(one)
          return one
        },
      })
    })
  }
}

let made = 0

export function ambientOn(db: Executor, config: object = {}): Drizzle {
  return ambient(db, (client) => drizzle({ client, ...config }))
}

/** Both give the same; returns it. */
export async function same<T>({ ours, theirs }: Bench, query: (q: Drizzle) => PromiseLike<T>): Promise<T> {
  const [mine, other] = [await query(ours), await query(theirs)]
  expect(mine).toEqual(other)
  return mine
}
