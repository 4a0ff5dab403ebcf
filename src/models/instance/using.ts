// `User.using('legacy')`, `User.using({ tenant })`: the same class on another database, or at another place. It is a subclass, so that
// statics, queries, loaders and the instances they give all go there.
import type { Db } from '../../db/db.ts'
import { metaOf, type ModelLike, modelMeta, type ModelMeta } from '../meta/model-meta.ts'

const views = new WeakMap<ModelLike, WeakMap<Db, ModelLike>>()

/** The same one each time for the same place. @throws {UsageError}, {TenantError} for one that the db of the model has not. */
export function usingOf(model: ModelLike, where: unknown): ModelLike {
  const meta = metaOf(model)
  const db = meta.db.databaseAt(where)
  let known = views.get(model)
  if (known === undefined) views.set(model, (known = new WeakMap()))
  let view = known.get(db)
  if (view === undefined) known.set(db, (view = viewOf(model, meta.at(db))))
  return view
}

function viewOf(model: ModelLike, meta: ModelMeta): ModelLike {
  const View = class extends model {
    static override readonly [modelMeta]: ModelMeta = meta
  }
  Object.defineProperty(View, 'name', { value: model.name })
  return View
}
