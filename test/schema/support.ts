/** An empty database for each test, on both drivers. */

import { createDb, type Db } from 'genever'
import { afterAll, beforeAll, beforeEach, describe } from 'vitest'
import { freshDatabase, type FreshDatabase } from '../support/database.ts'
import { type DriverName, wantedDrivers } from '../support/extent.ts'
import { pgliteStart } from '../support/patience.ts'

export interface Place {
  readonly driver: DriverName
  readonly db: Db
  /** `table public.users`, sorted: every table, view, sequence and enum that is there. */
  there(): Promise<string[]>
}

const emptied = `
  do $$ declare s text; begin
    for s in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
      execute format('drop schema %I cascade', s);
    end loop;
  end $$;
  create schema public`

const everything = `
  select case relkind when 'r' then 'table' when 'v' then 'view' when 'm' then 'materialized view' else 'sequence' end
    || ' ' || relnamespace::regnamespace || '.' || relname as what
  from pg_class where relkind in ('r', 'v', 'm', 'S') and relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
  union all
  select 'enum ' || typnamespace::regnamespace || '.' || typname from pg_type where typtype = 'e'
  union all
  select 'schema ' || nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)'`

/** Declares the suite for every driver that is wanted. */
export function onEmpty(suite: (place: Place) => void): void {
  for (const driver of wantedDrivers()) {
    describe(driver, () => {
      let database: FreshDatabase | undefined
      let db: Db
      beforeAll(async () => {
        if (driver !== 'pglite') database = await freshDatabase()
        db = await createDb(database?.url.replace(/^\w+:/, `${driver}:`) ?? 'pglite://memory', {
          pool: pgliteStart,
        }).open()
      })
      beforeEach(async () => {
        await db.status(emptied)
      })
      afterAll(async () => {
        await db.close()
        await database?.drop()
      })
      suite({
        driver,
        get db() {
          return db
        },
        async there() {
          return (await db.all<{ what: string }>(everything)).map(({ what }) => what).toSorted()
        },
      })
    })
  }
}
