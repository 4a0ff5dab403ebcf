/** A table that a session of the test locks: whoever reads it waits on the server until the test lets it go. */

import pg from 'pg'
import { databaseUrl, urlForPg } from './database.ts'

export interface HeldTable extends AsyncDisposable {
  readonly name: string
  /** Reads of it are answered from here on. */
  free(): Promise<void>
  /** Locks it again, as it is at first. */
  hold(): Promise<void>
}

let made = 0

/** In the database of this worker, with one row `n = 1`. */
export async function heldTable(): Promise<HeldTable> {
  const name = `held_${process.pid}_${++made}`
  const client = new pg.Client({
    connectionString: urlForPg(await databaseUrl()),
    application_name: 'genever-test-support',
  })
  client.on('error', () => {})
  await client.connect()
  await client.query(`create table ${name} as select 1 as n`)
  const hold = async (): Promise<void> => {
    await client.query('begin')
    await client.query(`lock table ${name} in access exclusive mode`)
  }
  await hold()
  return {
    name,
    hold,
    free: async () => void (await client.query('commit')),
    async [Symbol.asyncDispose]() {
      await client.query('rollback')
      await client.query(`drop table ${name}`)
      await client.end()
    },
  }
}
