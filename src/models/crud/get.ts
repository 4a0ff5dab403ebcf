// `Model.get`: one row by its primary key, with a text that is written once per model.
import type { Executor } from '../../engine/query/executor.ts'
import { NotFoundError, QueryError } from '../../errors/index.ts'
import { metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'
import { ready } from '../statement/ready.ts'
import type { CallOptions } from '../types/model.ts'
import { paramsOfKey } from './key.ts'

/**
 * Undefined for a row that is not there. Nothing is sent for an id that is null or undefined, or that no value of its column
 * can be.
 */
export function getById(model: ModelLike, id: unknown, options?: CallOptions): Promise<object | undefined> {
  const meta = metaOf(model)
  if (id === null || id === undefined) return Promise.resolve(undefined)
  const params = paramsOfKey(model, meta, id)
  if (params === null) return Promise.resolve(undefined)
  const executor = meta.executor(options?.on)
  const text =
    meta.texts.peek('get') ??
    meta.texts.keep('get', `select ${meta.list()} from ${meta.sqlName} where ${keyText(meta)}`)
  const found = executor.first(ready(meta, text, params, meta.specOf(model), meta.loaded), options) as Promise<
    object | undefined
  >
  for (const { judge } of meta.primaryKey) if (judge === undefined) return unlessMisfit(found, executor)
  return found
}

function unlessMisfit(found: Promise<object | undefined>, executor: Executor): Promise<object | undefined> {
  return found.catch((error: unknown) => misfit(executor, error))
}

/** Undefined for a key that only the server can refuse. In a transaction, which the error has ended, it is thrown. */
function misfit(executor: Executor, error: unknown): undefined {
  if (error instanceof QueryError && error.clientError === true && executor.transactionHere() === null) return undefined
  throw error
}

export async function getOrThrow(model: ModelLike, id: unknown, options?: CallOptions): Promise<object> {
  const found = await getById(model, id, options)
  if (found === undefined) throw notFound(model)
  return found
}

export function notFound(model: ModelLike): NotFoundError {
  return new NotFoundError(`${modelName(model)} is not found.`)
}

/** `"id" = $1 and …`. */
export function keyText({ primaryKey, dialect: { placeholder } }: ModelMeta): string {
  return primaryKey.map(({ quoted }, index) => `${quoted} = ${placeholder.text(index)}`).join(' and ')
}
