/** Commits that take their time: a deferred constraint waits in them until the test lets it. */

import pg from 'pg'
import { onServer, urlForPg } from '../support/database.ts'
import { until } from '../support/until.ts'
import type { LeapingTime } from '../support/virtual-time.ts'
import type { Site } from './support.ts'

/** A limit that only a leap of the clock reaches: no machine is so slow that the time is over before COMMIT. */
export const leapMs = 60_000

export interface SlowSite extends Site {
  /** Commits go through from now on. */
  letCommit(): Promise<void>
}

/** With a table `slow`: the COMMIT of whoever inserts into it waits. */
export async function slowCommits(made: Promise<Site>): Promise<SlowSite> {
  const place = await made
  await place.direct.query(`
    drop table if exists slow;
    create table slow (n int);
    create or replace function hold() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(4711); return null; end $$;
    create constraint trigger hold after insert on slow deferrable initially deferred for each row execute function hold()`)
  const keeper = new pg.Client({
    connectionString: urlForPg(place.direct.url),
    application_name: 'genever-test-support',
  })
  await keeper.connect()
  await keeper.query('select pg_advisory_lock(4711)')
  return {
    ...place,
    letCommit: async () => void (await keeper.query('select pg_advisory_unlock(4711)')),
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]()
      await keeper.end()
    },
  }
}

export const slowRows = async ({ direct }: Site): Promise<unknown> => direct.query('select n from slow')

/** Resolves when the server is in the middle of a COMMIT. */
export const committing = ({ direct }: Site): Promise<unknown> =>
  until(
    async () => {
      const [row] = await onServer(
        `select 1 from pg_stat_activity where datname = $1 and query = 'COMMIT' and wait_event = 'advisory'`,
        [direct.name],
      )
      return row !== undefined
    },
    { what: 'a COMMIT waits on the server' },
  )

/** Lets the time of a transaction, `leapMs`, be over while the server is in the middle of its COMMIT. */
export async function overInCommit(place: Site, time: LeapingTime): Promise<void> {
  await committing(place)
  time.leap(leapMs)
}
