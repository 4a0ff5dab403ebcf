// The queries of a model: `User.query()`, `User.where(…)`, `User.select(…)`. Immutable; each method gives another query. It
// runs when awaited or by the method that says what is expected, on the ambient connection or where `on` says.
import type { Column, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { Enclosing, Handle } from '../../engine/context/frame.ts'
import { callOptions } from '../../engine/handle.ts'
import type { CursorOptions } from '../../engine/query/query-options.ts'
import { cursorChecks } from '../../engine/query/query-terms.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { checkMadeIn } from '../../engine/query/made-with.ts'
import { executorOfMade } from '../../engine/query/placed.ts'
import { noRow, severalRows, type Status } from '../../engine/query/execute.ts'
import type { Dialect } from '../../sql/dialect.ts'
import {
  asQuery,
  type Forms,
  type MadeWith,
  type Statement,
  toStatement,
  type ToStatement,
} from '../../sql/statement.ts'
import { describeNumber, describeType, noOptions, readAgain } from '../../util/options.ts'
import { attempt, Printable, whenAwaited } from '../../util/thrown.ts'
import { notFound } from '../crud/get.ts'
import { Indexes } from '../load/indexes.ts'
import { loadSeparately } from '../load/select-in.ts'
import { type Listed, manySymbol, modelNode, nodeOf } from '../load/node.ts'
import { joined } from '../load/join-list.ts'
import { conditionOfRelation, relationOf } from '../load/joins.ts'
import { dialectAt, sourceOf } from '../load/source.ts'
import { metaOf, type ModelLike, modelName } from '../meta/model-meta.ts'
import { callOf } from '../statement/call.ts'
import type { Loaded, LoaderLike } from '../types/loader.ts'
import type { CallOptions } from '../types/model.ts'
import { asksAtItsEnd, asksBeside, thenAsks } from './asking.ts'
import { compileCount, compileExists, compileQuery } from './compile/compile.ts'
import { conditionOf, unknownKeys } from './compile/condition.ts'
import { listsOf } from './compile/head.ts'
import { iterateObjects } from './iterate.ts'
import { afterCondition, keysetOf, orderOf } from './keyset.ts'
import { readPage } from './page.ts'
import type { Joinable, LoadOptions, LockOptions, ModelCursor, ModelQuery, Page } from '../types/query.ts'
import { everything, isSeparate, loadChecks, lockChecks, type QueryState } from './state.ts'
import { conditionGiven, expressionsGiven } from './given.ts'

/** Implements `ModelQuery` at run time; what its rows are is a matter of types, and comparing these is deep. */
class Query<R> extends Printable implements ToStatement<R> {
  readonly #state: QueryState
  /** The transaction in whose frame it was made: once that has ended it must not run outside of it in silence. */
  readonly #madeIn: Enclosing | null
  readonly #madeWith: MadeWith | null
  /** The database that was meant where it was made. */
  readonly #madeOn: Executor

  /** @param from The query that this one was made from: it goes where that goes. */
  constructor(state: QueryState, from: Query<unknown> | null = null) {
    super()
    this.#state = state
    // It may be made outside of a tenant, but not run there.
    const executor = state.call.on ?? state.meta.db
    this.#madeIn = executor.transactionHere()
    this.#madeWith = (from === null ? null : from.#madeWith) ?? executor.madeWith()
    this.#madeOn = from !== null && from.#madeOn !== state.meta.db ? from.#madeOn : state.meta.db.madeHere()
  }

  where(condition: SQL | object | undefined): Query<R> {
    const { meta, source, where } = this.#state
    const made = conditionOf(meta, source.columns, condition)
    return made === undefined ? this : this.#with({ where: [...where, made] })
  }

  orderBy(...by: readonly (Column | SQL)[]): Query<R> {
    return this.#with({ orderBy: [...this.#state.orderBy, ...expressionsGiven(by, 'orderBy()')] })
  }

  limit(count: number): Query<R> {
    return this.#with({ limit: whole('limit', count) })
  }

  offset(count: number): Query<R> {
    return this.#with({ offset: whole('offset', count) })
  }

  join(target: Joinable, on?: SQL): Query<R> {
    return this.#join('inner', target, on)
  }

  leftJoin(target: Joinable, on?: SQL): Query<R> {
    return this.#join('left', target, on)
  }

  groupBy(...by: readonly (Column | SQL)[]): Query<R> {
    return this.#with({ groupBy: [...this.#state.groupBy, ...expressionsGiven(by, 'groupBy()')] })
  }

  having(condition: SQL): Query<R> {
    return this.#with({ having: [...this.#state.having, conditionGiven(condition, 'having()')] })
  }

  forUpdate(given?: LockOptions): Query<R> {
    const { nowait, skipLocked } = callOptions<LockOptions>(given, lockChecks, 'forUpdate()')
    if (nowait === true && skipLocked === true)
      throw new UsageError(
        'forUpdate() was given both nowait and skipLocked, which differ about a row that is locked. Leave one out.',
      )
    return this.#with({
      lock: 'for update',
      lockWait: nowait === true ? 'nowait' : skipLocked === true ? 'skip locked' : null,
    })
  }

  load<L extends LoaderLike>(loader: L, given?: LoadOptions): Query<Loaded<L>> {
    const { strategy } = callOptions<LoadOptions>(given, loadChecks, 'load()')
    const selectIn = strategy === 'select-in'
    const loaded = this.#with({ loader: nodeOf(loader), selectIn, chosen: strategy !== undefined, keys: null })
    return loaded as unknown as Query<Loaded<L>>
  }

  options(options: CallOptions | Handle): Query<R> {
    return this.#with({ call: this.#call(options, 'options()') ?? this.#state.call })
  }

  after(cursor: string | null | undefined): Query<R> {
    if (cursor === null || cursor === undefined) return this
    if (typeof cursor !== 'string')
      throw new UsageError(`after() takes the cursor of a page, which is text, not ${describeType(cursor)}.`, {
        clientError: true,
      })
    const keys = keysetOf(this.#state)
    const condition = afterCondition(keys, cursor)
    return this.#with({ where: [...this.#state.where, condition] })
  }

  async page(given?: CallOptions | Handle): Promise<Page<R>> {
    const options = this.#call(given, 'page()')
    const state = this.#state
    if (state.limit === null || state.limit === 0)
      throw new UsageError('page() needs limit(): how many rows a page has, at least 1.')
    const executor = this.#checkPlace(this.#executor(options))
    const paged = { ...this.#objects, orderBy: orderOf(keysetOf(state)) }
    return thenAsks(executor, paged, readPage<R>(executor, paged, options ?? noOptions))
  }

  all(given?: CallOptions | Handle): Promise<R[]> {
    return attempt(() => {
      const options = this.#call(given, 'all()')
      const executor = this.#executor(options)
      if (this.#separate) return this.#separately(executor, 0, options)
      return thenAsks(executor, this.#state, executor.all<R>(this.#alone(), options))
    })
  }

  async first(given?: CallOptions | Handle): Promise<R | undefined> {
    const options = this.#call(given, 'first()')
    const executor = this.#executor(options)
    if (this.#separate) return (await this.#separately(executor, 1, options))[0]
    return thenAsks(executor, this.#state, executor.first<R>(this.#alone(), options))
  }

  async firstOr404(options?: CallOptions | Handle): Promise<R> {
    const found = await this.first(options)
    if (found === undefined) throw notFound(this.#state.model)
    return found
  }

  async one(given?: CallOptions | Handle): Promise<R> {
    if (!this.#separate) return this.#db.one<R>(this, this.#merged(given))
    const [found, more] = await this.#atMostTwo(given, 'one()')
    if (found === undefined) throw noRow()
    if (more !== undefined) throw severalRows('one()')
    return found
  }

  async oneOrNone(given?: CallOptions | Handle): Promise<R | undefined> {
    if (!this.#separate) return this.#db.oneOrNone<R>(this, this.#merged(given))
    const [found, more] = await this.#atMostTwo(given, 'oneOrNone()')
    if (more !== undefined) throw severalRows('oneOrNone()')
    return found
  }

  scalar<V = unknown>(options?: CallOptions | Handle): Promise<V | undefined> {
    return this.#db.scalar<V>(this, this.#merged(options))
  }

  status(options?: CallOptions | Handle): Promise<Status<R>> {
    return this.#db.status<R>(this, this.#merged(options))
  }

  async count(given?: CallOptions | Handle): Promise<number> {
    const options = this.#call(given, 'count()')
    return Number(await this.#checkPlace(this.#executor(options)).scalar(asQuery(compileCount(this.#objects)), options))
  }

  async exists(given?: CallOptions | Handle): Promise<boolean> {
    const options = this.#call(given, 'exists()')
    return (
      Number(await this.#checkPlace(this.#executor(options)).scalar(asQuery(compileExists(this.#objects)), options)) ===
      1
    )
  }

  iterate(given?: CursorOptions | Handle): ModelCursor<R> {
    const read = callOptions<CursorOptions>(given, cursorChecks, 'iterate()')
    const options = readAgain<CursorOptions>(this.#state.call, read)
    const state = this.#objects
    const executor = this.#checkPlace(this.#executor(options))
    return asksAtItsEnd(executor, state, iterateObjects<R>(executor, state, options))
  }

  [Symbol.asyncIterator](): AsyncIterator<R> {
    return this.iterate()[Symbol.asyncIterator]()
  }

  // oxlint-disable-next-line unicorn/no-thenable -- awaiting a query runs it, as with the sql tag
  then<A = R[], B = never>(
    onFulfilled?: ((rows: R[]) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return whenAwaited(this.all()).then(onFulfilled, onRejected)
  }

  [toStatement](most = 0, _dialect?: Dialect, atOnce = false): Statement<R> {
    const executor = this.#executor(this.#state.call)
    const statement = asksBeside(executor, this.#state, this.#statement(executor, most, atOnce))
    return listsOf(this.#state).length === 0 ? statement : { ...statement, forms: this.#forms(executor) }
  }

  #forms(executor: Executor): Forms<R> {
    return {
      of: (most, atOnce) => asksBeside(executor, this.#state, this.#compiled(executor, most, atOnce)),
      version: () => Indexes.of(executor)?.version ?? -1,
    }
  }

  /** The same query, but the catalogue is not asked beside it. */
  #alone(): ToStatement<R> {
    return {
      [toStatement]: (most = 0, _dialect, atOnce = false) =>
        this.#statement(this.#executor(this.#state.call), most, atOnce),
    }
  }

  #compiled(executor: Executor, most: number, atOnce: boolean): Statement<R> {
    const facts = Indexes.of(executor)
    return compileQuery(this.#state, { most, facts, whole: atOnce }).statement as Statement<R>
  }

  #statement(executor: Executor, most: number, atOnce: boolean): Statement<R> {
    this.#checkFrame()
    this.#refuseSelectIn('a query given to an executor')
    const statement = this.#compiled(executor, most, atOnce)
    const elsewhere = this.#madeOn !== this.#state.meta.db
    if (this.#madeWith === null && !elsewhere) return statement
    return { ...statement, madeWith: this.#madeWith ?? undefined, madeOn: elsewhere ? this.#madeOn : undefined }
  }

  /** What `many()` makes of it. @throws {UsageError} for what a list cannot have. */
  [manySymbol](): Listed {
    const { where, orderBy, limit, loader, source, selectIn, ...rest } = this.#state
    const { offset, lock, keys, joins, groupBy, having } = rest
    const node = loader ?? modelNode(source)
    if (node.kind !== 'model' || offset !== null || lock !== null || keys !== null || selectIn)
      throw new UsageError('many() takes a query of a model with where(), orderBy(), limit() and load() of that model.')
    if (joins.length > 0 || groupBy.length > 0 || having.length > 0)
      throw new UsageError(
        'A list cannot have joins and groups: ask by where(some(…)), or list a model over a subquery.',
      )
    return { node, list: { through: null, where, orderBy, limit } }
  }

  override toString(): string {
    const { model } = this.#state
    return `ModelQuery { ${modelName(model)}: ${compileQuery(this.#objects).statement.sql} }`
  }

  #with(change: Partial<QueryState>): Query<R> {
    return new Query<R>({ ...this.#state, ...change }, this)
  }

  #join(kind: 'inner' | 'left', target: Joinable, on: SQL | undefined): Query<R> {
    const source = sourceOf(target)
    const condition =
      on !== undefined ? conditionGiven(on, 'join()') : conditionOfRelation(relationOf(this.#state.source, source))
    return this.#with({ joins: joined(this.#state, { kind, source, on: condition }) })
  }

  get #db(): Executor {
    return this.#madeOn
  }

  /** Where the query has no options, the executor reads the given ones. */
  #merged(given: CallOptions | Handle | undefined): CallOptions | Handle | undefined {
    return this.#state.call === noOptions ? given : this.#call(given, 'a query')
  }

  #executor(options: CallOptions | undefined): Executor {
    return this.#state.meta.executor(options?.on, this.#madeWith, this.#madeOn)
  }

  /** The options of a call, over those of the query; undefined for none. */
  #call(given: CallOptions | Handle | undefined, method: string): CallOptions | undefined {
    const { call } = this.#state
    if (given === undefined) return call === noOptions ? undefined : call
    return readAgain<CallOptions>(call, callOf(given, method))
  }

  /** Whether what belongs to the objects is loaded by further statements. */
  get #separate(): boolean {
    return isSeparate(this.#state, dialectAt(this.#madeOn, this.#state.source).models.lists)
  }

  /** The state for the objects, without the parts that further statements load. */
  get #objects(): QueryState {
    return this.#separate ? { ...this.#state, selectIn: true } : this.#state
  }

  #separately(executor: Executor, most: number, options: CallOptions | undefined): Promise<R[]> {
    return loadSeparately<R>(this.#checkPlace(executor), this.#state, most, options ?? noOptions)
  }

  #atMostTwo(given: CallOptions | Handle | undefined, method: string): Promise<R[]> {
    const options = this.#call(given, method)
    return this.#separately(this.#executor(options), 2, options)
  }

  #refuseSelectIn(method: string): void {
    if (this.#separate)
      throw new UsageError(
        `The lists of this query are loaded by further statements (the strategy 'select-in', which a lock that waits asks for too): await it, or use its own methods, not ${method}.`,
      )
  }

  #checkFrame(): void {
    checkMadeIn(this.#madeIn)
  }

  /** Like `#checkFrame`, for calls that run several statements. Gives the executor of these. */
  #checkPlace(executor: Executor): Executor {
    this.#checkFrame()
    return executorOfMade(this.#madeWith, executor, 'This query')
  }
}

export function queryOf<R>(model: ModelLike): ModelQuery<R> {
  return typed(new Query(everything(sourceOf(model))))
}

/** Plain objects of these columns and properties. @throws {UnknownColumnError} for others. */
export function selectOf<R>(model: ModelLike, keys: readonly string[]): ModelQuery<R> {
  const { columns } = sourceOf(model)
  if (keys.some((key: unknown) => typeof key !== 'string'))
    throw new UsageError(
      `select() takes the names of columns, not ${describeType(keys.find((key: unknown) => typeof key !== 'string'))}.`,
    )
  const unknown = keys.filter((key) => !Object.hasOwn(columns, key))
  if (unknown.length > 0) throw unknownKeys(metaOf(model), unknown, Object.keys(columns))
  if (keys.length === 0) throw new UsageError('select() takes the names of columns.')
  return typed(new Query({ ...everything(sourceOf(model)), keys: metaOf(model).keysOf(keys) }))
}

/** Comparing the class with its type would go through all that a loader can be. */
function typed<R>(query: object): ModelQuery<R> {
  return query as ModelQuery<R>
}

function whole(what: string, count: number): number {
  if (Number.isSafeInteger(count) && count >= 0) return count
  throw new UsageError(`${what}() takes a whole number from 0, not ${describeNumber(count)}.`)
}
