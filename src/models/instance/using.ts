// `User.using('replica')`: the same class on another database. A class of its own, so that statics, queries, loaders and the
// instances they give all go there.
import type { Db } from '../../db/db.ts'
import { metaOf, type ModelLike, modelMeta, type ModelMeta } from '../meta/model-meta.ts'

const views = new WeakMap<ModelLike, WeakMap<Db, ModelLike>>()

/** The same one each time. @throws {UsageError} for a name that the db of the model has not. */
export function usingOf(model: ModelLike, name: string): ModelLike {
  const meta = metaOf(model)
  const db = (meta.db as unknown as Db<string>).resolve(name) as unknown as Db
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
