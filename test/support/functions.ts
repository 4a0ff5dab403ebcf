/** Waiting for the catalogue of functions, which the engine reads in the background when it first matters. */

import type { Db } from 'genever'
import { until } from './until.ts'

/** Has it read on a connection that is idle, and waits for that. */
export async function functionsKnown(db: Db): Promise<void> {
  const { functions } = await db.engineHere()
  functions.want()
  await until(() => functions.read)
}
