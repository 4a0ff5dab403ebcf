/** Commits that take their time: a deferred constraint sleeps in them. */

import { onServer } from '../support/database.ts'
import { until } from '../support/until.ts'
import type { LeapingTime } from '../support/virtual-time.ts'
import type { Site } from './support.ts'

/** A limit that only a leap of the clock reaches: no machine is so slow that the time is over before COMMIT. */
export const leapMs = 60_000

/** With a table `slow`, for each row of which a COMMIT takes so long. */
export async function slowCommits(made: Promise<Site>, seconds: number): Promise<Site> {
  const place = await made
  await place.direct.query(`
    drop table if exists slow;
    create table slow (n int);
    create or replace function nap() returns trigger language plpgsql as
      $$ begin perform pg_sleep(${seconds}); return null; end $$;
    create constraint trigger nap after insert on slow deferrable initially deferred for each row execute function nap()`)
  return place
}

export const slowRows = async ({ direct }: Site): Promise<unknown> => direct.query('select n from slow')

/** Resolves when the server is in the middle of a COMMIT. */
export const committing = ({ direct }: Site): Promise<unknown> =>
  until(
    async () => {
      const [row] = await onServer(
        `select 1 from pg_stat_activity where datname = $1 and query = 'COMMIT' and wait_event = 'PgSleep'`,
        [direct.name],
      )
      return row !== undefined
    },
    { what: 'a COMMIT sleeps on the server' },
  )

/** Lets the time of a transaction, `leapMs`, be over while the server is in the middle of its COMMIT. */
export async function overInCommit(place: Site, time: LeapingTime): Promise<void> {
  await committing(place)
  time.leap(leapMs)
}
