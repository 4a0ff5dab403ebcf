// The loaders users write: `User.load({ team: Team })`, `Team.distinct(Team.c.id)`, `User.alias('boss')`, `many(User)`.
// Immutable descriptions; queries compile them.
import type { Column, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { conditionGiven, expressionsGiven } from '../query/given.ts'
import { describeType, isPlain, type Checks, readOptions } from '../../util/options.ts'
import { reserved } from '../meta/define.ts'
import { metaOf, type ModelLike, modelName } from '../meta/model-meta.ts'
import type { Loaded, Loader, LoaderLike, Many, ManyOptions } from '../types/loader.ts'
import type { ModelQuery } from '../types/query.ts'
import {
  type ChildNode,
  childOf,
  type Listed,
  listedOf,
  manySymbol,
  type ModelNode,
  modelNode,
  nodeSymbol,
} from './node.ts'
import { aliasSource, Source, sourceOf, sourceSymbol, subquerySource } from './source.ts'

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
  readonly [manySymbol]: Listed

  constructor(listed: Listed) {
    this[manySymbol] = listed
  }

  on(condition: SQL): ManyLoader {
    const { node, list } = this[manySymbol]
    return new ManyLoader({ node: { ...node, on: conditionGiven(condition, 'on()') }, list })
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
  if (typeof name !== 'string' || name === '')
    throw new UsageError(`alias() takes the name of the alias, a text that is not empty, not ${describeType(name)}.`)
  return new AliasedModel(aliasSource(model, name))
}

export function inQueryOf(model: ModelLike, subquery: object): RuntimeAlias {
  return new AliasedModel(subquerySource(model, subquery))
}

const manyChecks: Checks<{ readonly through?: unknown }> = {
  through: { read: (value) => between(value) },
}

/**
 * All rows of the other table that belong to one row of this table, as a list: `Team.load({ members: many(User) })`. They belong
 * together by the foreign key, by `.on(condition)`, or by the foreign keys of a table in between: `many(Tag, { through: PostTag })`.
 * The list is in the order of the primary key. A query gives the list its own condition, order and limit, which count for each object:
 * `many(Post.where({ done: false }).limit(3))`.
 * (GINO: a loader on `add_member`, with `distinct`.)
 * @throws {UsageError} for anything but a model, an alias, or a loader or query of one.
 */
export function many<L extends LoaderLike>(loader: L, options?: ManyOptions): Many<Loaded<L>>
export function many<R>(query: ModelQuery<R, never>, options?: ManyOptions): Many<R>
export function many(loader: unknown, options?: ManyOptions): Many<unknown> {
  const { node, list } = listedOf(loader)
  const { through } = readOptions<{ readonly through?: unknown }>(options, manyChecks, 'many()')
  const link = through === undefined ? null : between(through)
  if (link?.id === node.source.id)
    throw new UsageError(`many() goes through ${link.id} to itself: use alias('name') for one of them.`)
  return new ManyLoader({ node, list: { ...list, through: link } }) as unknown as Many<unknown>
}

function between(value: unknown): Source {
  const source = value instanceof Source ? value : sourceOf(value)
  if (source.model === null)
    throw new UsageError(
      'The option through of many() was given a bare table: make a model of it, or use an alias of one.',
    )
  return source
}

/** The same value in every row. (GINO: `ValueLoader`.) */
export function literal<V>(value: V): Loader<V> {
  return { [nodeSymbol]: { kind: 'constant', value } } as unknown as Loader<V>
}

/** @throws {UsageError} for a key that a column, a property or a member of every instance has. */
function childrenOf(source: Source, map: Map): ChildNode[] {
  const { model } = source
  if (model === null)
    throw new UsageError('load() was called for a bare table: make a model of it, or use an alias of one.')
  const meta = metaOf(model)
  if (!isPlain(map)) throw new UsageError('load() takes a plain object of names and loaders, such as { team: Team }.')
  const members = membersOf(map)
  for (const [key] of members)
    if (meta.byKey.has(key) || meta.properties.has(key) || reserved.has(key) || key in Object.prototype)
      throw new UsageError(`load({ ${key} }) would overwrite ${modelName(model)}.${key}: choose another name.`)
  return members.map(([key, loader]) => childOf(key, loader))
}

function membersOf(map: Map): [string, unknown][] {
  try {
    return Object.entries(map)
  } catch (cause) {
    throw new UsageError('The argument of load() cannot be read: reading it throws.', { cause })
  }
}

function keysOf({ meta, columns }: Source, by: readonly Column[]): readonly Column[] {
  if (by.length > 0) return by
  const key = meta?.primaryKey ?? []
  if (key.length === 0) throw new UsageError('distinct() needs columns: the model has no primary key.')
  return key.map(({ key: name }) => columns[name] as Column)
}
