// The queries of a model: `User.query()`, `User.where(…)`, `User.select(…)`. Immutable; each method gives another query. It
// runs when awaited or by the method that says what is expected, on the ambient connection or where `on` says.
import type { Column, SQL } from 'drizzle-orm'
import { TransactionEndedError, UsageError } from '../../errors/index.ts'
import { callOptions, type Handle } from '../../engine/handle.ts'
import { cursorChecks, type CursorOptions } from '../../engine/query/cursor.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { madeInTransaction } from '../../engine/query/sql-query.ts'
import type { Status } from '../../engine/query/status.ts'
import type { TransactionRecord } from '../../engine/transaction/record.ts'
import { asQuery, type Statement, toStatement, type ToStatement } from '../../sql/statement.ts'
import { noOptions, readAgain } from '../../util/options.ts'
import { Printable } from '../../util/printable.ts'
import { notFound } from '../crud/get.ts'
import { loadSeparately } from '../load/select-in.ts'
import { nodeOf } from '../load/node.ts'
import { joined } from '../load/join-list.ts'
import { conditionOfRelation, relationOf } from '../load/joins.ts'
import { sourceOf } from '../load/source.ts'
import { metaOf, type ModelLike, modelName } from '../meta/model-meta.ts'
import { callOf } from '../statement/call.ts'
import type { Loaded, LoaderLike } from '../types/loader.ts'
import type { CallOptions } from '../types/model.ts'
import { compileCount, compileExists, compileQuery } from './compile/compile.ts'
import { conditionOf, unknownKeys } from './compile/condition.ts'
import { type ModelCursor, iterateObjects } from './iterate.ts'
import { afterCondition, keysetOf, orderOf, readCursor } from './keyset.ts'
import { type Page, readPage } from './page.ts'
import type { Joinable, ModelQuery } from '../types/query.ts'
import { everything, loadChecks, type LoadOptions, lockChecks, type LockOptions, type QueryState } from './state.ts'
import { conditionGiven, expressionsGiven } from './given.ts'
import { describeType } from '../../util/checks.ts'

/** Implements `ModelQuery` at run time; what its rows are is a matter of types, and comparing these is deep. */
class Query<R> extends Printable implements ToStatement<R> {
  readonly #state: QueryState
  /** The transaction in whose frame it was made: once that has ended it must not run outside of it in silence. */
  readonly #madeIn: TransactionRecord | null

  constructor(state: QueryState) {
    super()
    this.#state = state
    this.#madeIn = madeInTransaction(this.#executor(state.call))
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
    if (nowait === true && skipLocked === true) throw new UsageError('forUpdate() is either nowait or skipLocked.')
    return this.#with({
      lock: 'for update',
      lockWait: nowait === true ? 'nowait' : skipLocked === true ? 'skip locked' : null,
    })
  }

  load<L extends LoaderLike>(loader: L, given?: LoadOptions): Query<Loaded<L>> {
    const { strategy } = callOptions<LoadOptions>(given, loadChecks, 'load()')
    const loaded = this.#with({ loader: nodeOf(loader), selectIn: strategy === 'select-in', keys: null })
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
    const condition = afterCondition(keys, readCursor(keys, cursor))
    return this.#with({ where: [...this.#state.where, condition] })
  }

  page(given?: CallOptions | Handle): Promise<Page<R>> {
    const options = this.#call(given, 'page()')
    const state = this.#state
    if (state.limit === null) throw new UsageError('page() needs limit(): how many rows a page has.')
    this.#checkFrame()
    return readPage<R>(this.#executor(options), { ...state, orderBy: orderOf(keysetOf(state)) }, options ?? noOptions)
  }

  async all(given?: CallOptions | Handle): Promise<R[]> {
    const options = this.#call(given, 'all()')
    if (!this.#state.selectIn) return this.#executor(options).all<R>(this, options)
    return loadSeparately<R>(this.#executor(options), this.#state, 0, options ?? noOptions)
  }

  async first(given?: CallOptions | Handle): Promise<R | undefined> {
    const options = this.#call(given, 'first()')
    if (!this.#state.selectIn) return this.#executor(options).first<R>(this, options)
    return (await loadSeparately<R>(this.#executor(options), this.#state, 1, options ?? noOptions))[0]
  }

  async firstOr404(options?: CallOptions | Handle): Promise<R> {
    const found = await this.first(options)
    if (found === undefined) throw notFound(this.#state.model)
    return found
  }

  one(options?: CallOptions | Handle): Promise<R> {
    this.#refuseSelectIn('one')
    return this.#db.one<R>(this, this.#merged(options))
  }

  oneOrNone(options?: CallOptions | Handle): Promise<R | undefined> {
    this.#refuseSelectIn('oneOrNone')
    return this.#db.oneOrNone<R>(this, this.#merged(options))
  }

  scalar<V = unknown>(options?: CallOptions | Handle): Promise<V | undefined> {
    return this.#db.scalar<V>(this, this.#merged(options))
  }

  status(options?: CallOptions | Handle): Promise<Status<R>> {
    return this.#db.status<R>(this, this.#merged(options))
  }

  async count(given?: CallOptions | Handle): Promise<number> {
    const options = this.#call(given, 'count()')
    this.#checkFrame()
    return Number(await this.#executor(options).scalar(asQuery(compileCount(this.#state)), options))
  }

  async exists(given?: CallOptions | Handle): Promise<boolean> {
    const options = this.#call(given, 'exists()')
    this.#checkFrame()
    return (await this.#executor(options).scalar(asQuery(compileExists(this.#state)), options)) === true
  }

  iterate(given?: CursorOptions | Handle): ModelCursor<R> {
    const read = callOptions<CursorOptions>(given, cursorChecks, 'iterate()')
    const options = readAgain<CursorOptions>(this.#state.call, read)
    return iterateObjects<R>(this.#executor(options), this.#state, options)
  }

  [Symbol.asyncIterator](): AsyncIterator<R> {
    return this.iterate()[Symbol.asyncIterator]()
  }

  // oxlint-disable-next-line unicorn/no-thenable -- awaiting a query runs it, as with the sql tag
  then<A = R[], B = never>(
    onFulfilled?: ((rows: R[]) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.all().then(onFulfilled, onRejected)
  }

  [toStatement](most = 0): Statement<R> {
    this.#checkFrame()
    this.#refuseSelectIn('a query given to an executor')
    return compileQuery(this.#state, { most }).statement as Statement<R>
  }

  override toString(): string {
    const { model } = this.#state
    return `ModelQuery { ${modelName(model)}: ${compileQuery({ ...this.#state, selectIn: false }).statement.sql} }`
  }

  #with(change: Partial<QueryState>): Query<R> {
    return new Query<R>({ ...this.#state, ...change })
  }

  #join(kind: 'inner' | 'left', target: Joinable, on: SQL | undefined): Query<R> {
    const source = sourceOf(target)
    const condition =
      on !== undefined
        ? conditionGiven(on, 'join()')
        : conditionOfRelation(relationOf(this.#state.source, source, false))
    return this.#with({ joins: joined(this.#state, { kind, source, on: condition }) })
  }

  get #db(): Executor {
    return this.#state.meta.db
  }

  /** What is given alone is read by the executor. */
  #merged(given: CallOptions | Handle | undefined): CallOptions | Handle | undefined {
    return this.#state.call === noOptions ? given : this.#call(given, 'a query')
  }

  #executor(options: CallOptions | undefined): Executor {
    return this.#state.meta.executor(options?.on)
  }

  /** What a call says, over what the query says; undefined for nothing. */
  #call(given: CallOptions | Handle | undefined, method: string): CallOptions | undefined {
    const { call } = this.#state
    if (given === undefined) return call === noOptions ? undefined : call
    return readAgain<CallOptions>(call, callOf(given, method))
  }

  #refuseSelectIn(method: string): void {
    if (this.#state.selectIn)
      throw new UsageError(
        `The strategy 'select-in' runs several statements: use all(), first() or iterate(), not ${method}.`,
      )
  }

  #checkFrame(): void {
    if (this.#madeIn !== null && this.#madeIn.state !== 'open')
      throw new TransactionEndedError(this.#madeIn.endedMessage())
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
  throw new UsageError(`${what}() takes a whole number from 0.`)
}
