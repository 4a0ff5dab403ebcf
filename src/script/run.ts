// Work of a script: its database is open while the work runs, and closed behind it unless somebody else uses it.
import { Db } from '../db/db.ts'
import type { Engine } from '../engine/engine.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { UsageError } from '../errors/index.ts'
import { visit, visited } from '../registry/global-db.ts'
import type { Visit } from '../registry/shared-pool.ts'
import type { GlobalSource } from '../registry/shared-pool.ts'
import { needsFunction } from '../util/options.ts'
import { ScriptDb } from './script-db.ts'

/**
 * Opens the database, runs `work` with it, and closes what it opened, also when `work` throws. So the process can end. It
 * may be called again and again, and several times at once: the last call to end closes the database.
 *
 * For a URL or options it uses the pool that `globalDb()` gives for them, so everything that `work` calls may ask for that.
 * A pool that is also used outside of `run()` is not closed. A `Db` that is open already is not closed either. One that this
 * call opened can be used again afterwards, and is opened by its next use.
 *
 * @returns the value that `work` returns.
 * @throws the error that `work` throws.
 * @throws {ConnectError} when the database cannot be reached. `work` was not called then.
 * @throws {InvalidUrlError}, {InvalidOptionError}, {UsageError}
 */
export async function run<R>(
  source: GlobalSource | Db,
  work: (db: ScriptDb) => R | Promise<R>,
  options?: EngineOptions,
): Promise<R> {
  needsFunction(work, 'run()')
  if (source === undefined || source === null)
    throw new UsageError('run() needs a URL or options of the database. Is an environment variable missing?')
  const given = source instanceof Db
  if (given && options !== undefined)
    throw new UsageError('run() was given a db and options. A db has its options already.')
  const db = given ? source : visited(source, options, run)
  const { engine, ...visitor } = await (visit(db) ?? visitPlain(db))
  try {
    // Everything inside has this engine, also while somebody closes the pool.
    return await db.withBind(engine, () => work(new ScriptDb(db)))
  } finally {
    await visitor.leave()
  }
}

/** Those that are open because `run` opened them, with how many of it are going on. */
const opened = new WeakMap<Db, { engine: Engine; visitors: number }>()

async function visitPlain(db: Db): Promise<Visit> {
  const open = db.engineQuietly()
  let known = opened.get(db)
  if (open !== null && known?.engine !== open) return { engine: open, leave: () => Promise.resolve() }
  if (known === undefined || open === null) {
    const engine = await db.engineHere()
    known = opened.get(db)
    // Another one may have waited for the same opening.
    if (known?.engine !== engine) opened.set(db, (known = { engine, visitors: 0 }))
  }
  const visits = known
  visits.visitors++
  return {
    engine: visits.engine,
    async leave() {
      if (--visits.visitors > 0) return
      opened.delete(db)
      if (db.engineQuietly() === visits.engine) await db.rest()
    },
  }
}
