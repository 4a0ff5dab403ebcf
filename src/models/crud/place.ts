// Where statements about the row of an instance go: to the database it was read from or created in, with the same settings.
import type { Db } from '../../db/db.ts'
import type { Engine } from '../../engine/engine.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { executorOfMade } from '../../engine/query/placed.ts'
import { type ModelMeta, modelName } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'

/** @throws {TransactionStateError} when the instance was read or created with other settings than statements run with here. */
export function executorOf(instance: object, meta: ModelMeta, on: Executor | undefined): Executor {
  const executor = on === undefined ? homeOf(instance, meta.db) : meta.executor(on)
  const made = Row.originOf(instance)?.settings ?? null
  return made === null ? executor : executorOfMade(made, executor, `This ${modelName(instance.constructor)}`)
}

/** A callback may have bound the db of the model to another database meanwhile. */
function homeOf(instance: object, db: Db): Executor {
  const origin = Row.originOf(instance)?.engine as Engine | undefined
  if (origin === undefined) db.modelsHere(undefined)
  const from = origin ?? db.engineAtHome()
  if (from === null || db.engineQuietly() === from) return db
  const home = from.home as Db | null
  if (home === null) return from
  // Its db opens it again where it was closed, unless that is bound to another one here.
  const atHome = home.engineAtHome()
  return home.engineQuietly() === atHome ? home : (atHome ?? from)
}
