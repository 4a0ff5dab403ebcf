/** A frame that has other settings than those around it, on the same connection. */

import { type Db } from 'genever'
import { ambientSettings, currentChain, runInFrame } from '../../src/engine/context/chain.ts'
import { Frame } from '../../src/engine/context/frame.ts'
import type { Engine } from '../../src/engine/engine.ts'

/** Runs `work` in a frame with other settings: those of a tenant, or what is changed of those around it. */
export async function within<T>(
  db: Db,
  said: string | Readonly<Record<string, string | null>>,
  work: () => Promise<T>,
): Promise<T> {
  const engine = db.engineHere() as Engine
  const changes = typeof said === 'string' ? { 'app.tenant': said } : said
  const all = { ...ambientSettings(engine, currentChain()), ...changes }
  const kept = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null)
  const frame = new Frame('overlay', engine, db, null, null, Object.fromEntries(kept))
  try {
    return await runInFrame(frame, work)
  } finally {
    frame.end()
  }
}
