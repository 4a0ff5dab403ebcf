/** What the parts of the suite of requests run on, and routes in few words. */

import type { Db } from 'genever'
import type { TestedDriver } from '../../support/matrix.ts'
import type { Adapter, Answer, App, Route, RunningApp } from '../adapter.ts'

export interface RequestTest {
  readonly adapter: Adapter
  readonly driver: TestedDriver
  /** Whether the driver has several connections. */
  readonly several: boolean
  /** A database whose events can be told from those of others. */
  readonly open: (max?: number) => Promise<{ db: Db; name: string }>
  readonly start: (app: App) => Promise<RunningApp>
  readonly count: (db: Db, table: string) => Promise<unknown>
}

export function requestTest(adapter: Adapter, driver: TestedDriver): RequestTest {
  let made = 0
  return {
    adapter,
    driver,
    several: driver.most > 1,
    async open(max = 4) {
      const name = `web ${adapter.name} ${driver.name} ${process.pid} ${++made}`
      return { db: await driver.db({ name, pool: { max } }), name }
    },
    start: (app) => adapter.start({ ...app, options: { ...silence, ...app.options } }),
    count: (db, table) => db.scalar(`select count(*)::int from ${table}`),
  }
}

export const get = (path: string, work: Route['work'], more: Partial<Route> = {}): Route => ({
  method: 'GET',
  path,
  work,
  ...more,
})
export const post = (path: string, work: Route['work'], more: Partial<Route> = {}): Route => ({
  ...get(path, work, more),
  method: 'POST',
})
export const answers = async (body: unknown, more: Partial<Answer> = {}): Promise<Answer> => ({
  body: await body,
  ...more,
})
export const never = (): Promise<never> => new Promise(() => {})
export const silence = { log: false } as const
