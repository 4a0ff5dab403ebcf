// Views are read: everything that writes asks here first.
import { UsageError } from '../../errors/index.ts'
import { metaOf, type ModelLike, type ModelMeta, modelName } from '../meta/model-meta.ts'

/** @throws {UsageError} when the model is one of a view, or no model. */
export function writable(model: ModelLike, method: string): ModelMeta {
  const meta = metaOf(model)
  if (meta.view) throw new UsageError(`${method}: ${modelName(model)} is a model of a view, which is only read.`)
  return meta
}
