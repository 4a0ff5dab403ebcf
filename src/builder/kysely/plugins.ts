// Remembers which plugins a query of `kysely(db)` went through, so that its rows go through them too when Genever runs it. Kysely tells
// a plugin the id of a query, but nobody the plugins of a builder, so each plugin notes itself. No query is kept alive by that.
import {
  CamelCasePlugin,
  DeduplicateJoinsPlugin,
  HandleEmptyInListsPlugin,
  type KyselyPlugin,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
  type QueryId,
  type QueryResult,
  type RootOperationNode,
  type UnknownRow,
  WithSchemaPlugin,
} from 'kysely'
import { UsageError } from '../../errors/index.ts'

type Decode = (rows: readonly unknown[]) => unknown[]

const seen = new WeakMap<QueryId, Set<KyselyPlugin>>()

/** Plugins that leave results as they are. */
const queryOnly = [DeduplicateJoinsPlugin, HandleEmptyInListsPlugin, WithSchemaPlugin]

/** The same plugin, noted with each query it transforms. */
export function traced(plugin: KyselyPlugin): KyselyPlugin {
  return plugin instanceof TracedPlugin ? plugin : new TracedPlugin(plugin)
}

class TracedPlugin implements KyselyPlugin {
  readonly #plugin: KyselyPlugin

  constructor(plugin: KyselyPlugin) {
    this.#plugin = plugin
  }

  transformQuery(args: PluginTransformQueryArgs): RootOperationNode {
    const plugins = seen.get(args.queryId)
    if (plugins === undefined) seen.set(args.queryId, new Set([this.#plugin]))
    else plugins.add(this.#plugin)
    return this.#plugin.transformQuery(args)
  }

  transformResult(args: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    return this.#plugin.transformResult(args)
  }
}

/**
 * The function that takes the rows of a query through its plugins; undefined where these leave rows as they are.
 *
 * @throws {UsageError} for a plugin that can transform results only with a promise, which a page of rows cannot wait for.
 */
export function decoderOf(queryId: QueryId): Decode | undefined {
  const steps: ((row: unknown) => unknown)[] = []
  for (const plugin of seen.get(queryId) ?? []) {
    if (queryOnly.some((kind) => plugin instanceof kind)) continue
    if (!(plugin instanceof CamelCasePlugin)) throw refused(plugin)
    steps.push((row) => mapped(plugin, row))
  }
  if (steps.length === 0) return undefined
  return (rows) => rows.map((row) => steps.reduce((value, step) => step(value), row))
}

/** Calls the method that a subclass may override, which Kysely declares for them. */
function mapped(plugin: CamelCasePlugin, row: unknown): unknown {
  return (plugin as unknown as { mapRow(row: unknown): unknown }).mapRow(row)
}

function refused(plugin: KyselyPlugin): UsageError {
  const name = /^[\w$]{1,60}$/.test(plugin.constructor.name) ? plugin.constructor.name : 'A plugin'
  return new UsageError(
    `${name} of Kysely transforms results by a promise, and only Kysely waits for that: run this query with its own execute() ` +
      'or stream(), or build it with withoutPlugins().',
  )
}
