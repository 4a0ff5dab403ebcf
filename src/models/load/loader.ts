// The loaders users write: `User.load({ team: Team })`, `Team.distinct(Team.c.id)`, `User.alias('boss')`, `many(User)`.
// Immutable descriptions; queries compile them.
import type { Column, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { conditionGiven, expressionsGiven } from '../query/given.ts'
import { isPlain } from '../../util/checks.ts'
import { reserved } from '../meta/define.ts'
import { metaOf, type ModelLike, modelName } from '../meta/model-meta.ts'
import type { Loaded, Loader, LoaderLike, Many } from '../types/loader.ts'
import { type ChildNode, childOf, manySymbol, type ModelNode, modelNode, nodeOf, nodeSymbol } from './node.ts'
import { aliasSource, type Source, sourceOf, sourceSymbol, subquerySource } from './source.ts'

export type Map = Readonly<Record<string, unknown>>

/** `Loader` and `Distinct`, without types. */
export interface RuntimeLoader {
  on(condition: SQL): RuntimeLoader
  load(map: Map): RuntimeLoader
  distinct(...by: readonly Column[]): RuntimeLoader
}

/** `Aliased`, without types. */
export interface RuntimeAlias extends RuntimeLoader {
  readonly of: ModelLike
  readonly c: object
}

class ModelLoader implements RuntimeLoader {
  readonly [nodeSymbol]: ModelNode

  constructor(node: ModelNode) {
    this[nodeSymbol] = node
  }

  on(condition: SQL): ModelLoader {
    return new ModelLoader({ ...this[nodeSymbol], on: conditionGiven(condition, 'on()') })
  }

  load(map: Map): ModelLoader {
    const node = this[nodeSymbol]
    return new ModelLoader({ ...node, children: [...node.children, ...childrenOf(node.source, map)] })
  }

  distinct(...by: readonly Column[]): ModelLoader {
    return new ModelLoader({
      ...this[nodeSymbol],
      by: keysOf(this[nodeSymbol].source, expressionsGiven(by, 'distinct()') as Column[]),
    })
  }
}

/** A model under another name, or over a subquery. */
class AliasedModel implements RuntimeAlias {
  readonly of: ModelLike
  readonly [sourceSymbol]: Source

  constructor(source: Source) {
    this.of = source.model as ModelLike
    this[sourceSymbol] = source
  }

  get c(): object {
    return this[sourceSymbol].columns
  }

  load(map: Map): RuntimeLoader {
    return loadOf(this, map)
  }

  on(condition: SQL): RuntimeLoader {
    return onOf(this, condition)
  }

  distinct(...by: readonly Column[]): RuntimeLoader {
    return distinctOf(this, by)
  }
}

class ManyLoader {
  readonly [manySymbol]: ModelNode

  constructor(node: ModelNode) {
    this[manySymbol] = node
  }

  on(condition: SQL): ManyLoader {
    return new ManyLoader({ ...this[manySymbol], on: conditionGiven(condition, 'on()') })
  }
}

export function loadOf(of: unknown, map: Map): RuntimeLoader {
  return new ModelLoader(modelNode(sourceOf(of))).load(map)
}

export function onOf(of: unknown, condition: SQL): RuntimeLoader {
  return new ModelLoader(modelNode(sourceOf(of))).on(condition)
}

export function distinctOf(of: unknown, by: readonly Column[]): RuntimeLoader {
  return new ModelLoader(modelNode(sourceOf(of))).distinct(...by)
}

/** @throws {UsageError} for a name that is empty. */
export function aliasOf(model: ModelLike, name: string): RuntimeAlias {
  if (typeof name !== 'string' || name === '') throw new UsageError('alias() takes a name.')
  return new AliasedModel(aliasSource(model, name))
}

export function inQueryOf(model: ModelLike, subquery: object): RuntimeAlias {
  return new AliasedModel(subquerySource(model, subquery))
}

/**
 * All the rows of the other table that belong to one of this, as a list, in the order they come:
 * `Team.load({ members: many(User) })`. Joined by the foreign key, or by `.on(condition)`.
 * (GINO: a loader on `add_member`, with `distinct`.)
 * @throws {UsageError} for anything but a model, an alias, or a loader of one.
 */
export function many<L extends LoaderLike>(loader: L): Many<Loaded<L>> {
  const node = nodeOf(loader)
  if (node.kind !== 'model') throw new UsageError('many() takes a model, an alias, or a loader of one.')
  return new ManyLoader(node) as unknown as Many<Loaded<L>>
}

/** The same value in every row. (GINO: `ValueLoader`.) */
export function literal<V>(value: V): Loader<V> {
  return { [nodeSymbol]: { kind: 'constant', value } } as unknown as Loader<V>
}

/** @throws {UsageError} for a key that a column, a property or a member of every instance has. */
function childrenOf(source: Source, map: Map): ChildNode[] {
  const { model } = source
  if (model === null) throw new UsageError('load() belongs to a model or an alias of one.')
  const meta = metaOf(model)
  if (!isPlain(map)) throw new UsageError('load() takes a plain object of names and loaders, such as { team: Team }.')
  const members = membersOf(map)
  for (const [key] of members)
    if (meta.byKey.has(key) || meta.properties.has(key) || reserved.has(key))
      throw new UsageError(`load({ ${key} }) would overwrite ${modelName(model)}.${key}: choose another name.`)
  return members.map(([key, loader]) => childOf(key, loader))
}

function membersOf(map: Map): [string, unknown][] {
  try {
    return Object.entries(map)
  } catch (cause) {
    throw new UsageError('What load() was given cannot be read: looking at it throws.', { cause })
  }
}

function keysOf({ meta, columns }: Source, by: readonly Column[]): readonly Column[] {
  if (by.length > 0) return by
  const key = meta?.primaryKey ?? []
  if (key.length === 0) throw new UsageError('distinct() needs columns: the model has no primary key.')
  return key.map(({ key: name }) => columns[name] as Column)
}
