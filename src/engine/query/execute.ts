// The one async layer between the user and the wire: a call becomes an operation, is sent and awaited, and a failure
// becomes an error here, after the await, so that its stack shows the caller's line. What a method makes of the rows is
// its `Cardinality`.
import {
  GeneverError,
  MultipleResultsError,
  NoResultError,
  NotFoundError,
  ParameterError,
  UsageError,
} from '../../errors/index.ts'
import { Recipe } from '../../sql/baked/recipe.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import {
  adapt,
  type DrizzleCommand,
  isQuery,
  type Params,
  type Query,
  type Statement,
  type Within,
} from '../../sql/statement.ts'
import { describeType } from '../../util/checks.ts'
import { noOptions, readAgain } from '../../util/options.ts'
import { currentChain } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import { callOptions, type Handle, placeOf } from '../handle.ts'
import { afterOpening } from '../open/after-opening.ts'
import type { Executor } from './executor.ts'
import { thrownError } from './failure.ts'
import { EngineOp } from './op.ts'
import { optionsOf, queryChecks, type QueryOptions } from './query-options.ts'
import type { TransactionOptions } from '../transaction-options.ts'
import { Status } from './status.ts'

/** How many rows a method asks for, and what it makes of them. */
export interface Cardinality {
  /** Of which method, for messages. */
  readonly method: string
  /** 0: all. */
  readonly maxRows: number
  /** Replaces what the query itself says a row becomes. */
  readonly spec: RowSpec | null
  /** Whether one text may hold several statements. */
  readonly several: boolean
  readonly give: (op: EngineOp) => unknown
}

/** The first column of each row. */
export const firstColumn: RowSpec = { into: 'scalar', make: null, columns: null }

const first = (op: EngineOp): unknown => rowsOf(op)[0]

export const everyRow: Cardinality = { method: 'all()', maxRows: 0, spec: null, several: false, give: rowsOf }
export const firstRow: Cardinality = { method: 'first()', maxRows: 1, spec: null, several: false, give: first }
export const firstValue: Cardinality = {
  method: 'scalar()',
  maxRows: 1,
  spec: firstColumn,
  several: false,
  give: first,
}

export const onlyRow: Cardinality = {
  method: 'one()',
  maxRows: 2,
  spec: null,
  several: false,
  give(op) {
    const rows = rowsOf(op)
    if (rows.length === 0)
      throw new NoResultError('one() found no row. Use first() or oneOrNone() where there may be none.', about(op.stmt))
    if (rows.length > 1) throw tooMany('one', op)
    return rows[0]
  },
}

export const onlyRowOrNone: Cardinality = {
  method: 'oneOrNone()',
  maxRows: 2,
  spec: null,
  several: false,
  give(op) {
    const rows = rowsOf(op)
    if (rows.length > 1) throw tooMany('oneOrNone', op)
    return rows[0]
  },
}

export const firstRowOrNotFound: Cardinality = {
  method: 'firstOr404()',
  maxRows: 1,
  spec: null,
  several: false,
  give(op) {
    const rows = rowsOf(op)
    if (rows.length === 0) throw new NotFoundError('What was asked for is not found.', about(op.stmt))
    return rows[0]
  },
}

export const answer: Cardinality = {
  method: 'status()',
  maxRows: 0,
  spec: null,
  several: true,
  give: (op) => new Status(op.tag, op.count < 0 ? null : op.count, rowsOf(op)),
}

/** A text and a recipe come with their parameters, and options third; a built query has its own, and options second. */
export async function execute<R, T>(
  executor: Executor,
  cardinality: Cardinality,
  query: Query<R> | Recipe | string,
  second: Params | QueryOptions | Handle | undefined,
  third: QueryOptions | Handle | undefined,
): Promise<T> {
  let place = executor
  let options: QueryOptions | null = null
  if (second !== undefined || third !== undefined) {
    options = optionsOf<QueryOptions>(query, second, third, queryChecks, cardinality.method)
    if (options?.on !== undefined) place = placeOf(options.on, executor, cardinality.method)
  }
  const here = place.engineHere()
  if (here instanceof Promise) return executeOpened(here, place, cardinality, query, second, options)
  const op = prepare(place, here, cardinality, query, second as Params | undefined, options)
  place.send(op)
  try {
    await op.wait()
  } catch (thrown) {
    throw thrownError(thrown, op)
  }
  return cardinality.give(op) as T
}

/** The first use of a database opens it, in the time of the call. */
async function executeOpened<R, T>(
  opening: Promise<Engine>,
  executor: Executor,
  cardinality: Cardinality,
  query: Query<R> | Recipe | string,
  second: Params | QueryOptions | Handle | undefined,
  options: QueryOptions | null,
): Promise<T> {
  const left = await afterOpening<QueryOptions>(opening, options ?? noOptions)
  if (typeof query === 'string' || query instanceof Recipe) return execute(executor, cardinality, query, second, left)
  return execute(executor, cardinality, query, left, undefined)
}

/**
 * Runs one statement with each set of parameters, all or nothing.
 * @throws {UsageError} when `sets` is not a list, or the text holds several statements.
 */
export async function executeMany(
  executor: Executor,
  given: Query<unknown> | DrizzleCommand | Recipe | string,
  sets: readonly Params[],
  options: QueryOptions | Handle | undefined,
): Promise<Status<never>> {
  const method = 'executeMany()'
  const { on, ...limits } = callOptions<QueryOptions>(options, queryChecks, method)
  if (!Array.isArray(sets))
    throw new UsageError(`executeMany() takes a list of parameter sets, not ${describeType(sets)}.`)
  const place = placeOf(on, executor, method)
  const here = place.engineHere()
  const left = here instanceof Promise ? await afterOpening<QueryOptions>(here, readAgain(limits)) : readAgain(limits)
  const { statements } = here instanceof Promise ? await here : here
  const query = typeof given === 'string' || given instanceof Recipe ? given : Recipe.of(built(given))
  const compiled = typeof query === 'string' ? statements.compile(query).compiled : query.plan.on(statements)
  if (sets.length === 0) return new Status('', 0, [])
  if (compiled.cls === 'multi') throw severalStatements(compiled)
  const engine = here instanceof Promise ? await here : here
  return engine.transact(
    { ...place.placeHere(true, engine), batch: true },
    async (tx) => {
      const statuses = await Promise.all(
        sets.map((params: Params) => execute<never, Status<never>>(tx, answer, query, params, left)),
      )
      const count = statuses.reduce((sum, status) => sum + (status.rowCount ?? 0), 0)
      return new Status<never>(statuses[0]?.command ?? '', count, [])
    },
    readAgain<TransactionOptions>({ timeoutMs: left.timeoutMs, signal: left.signal }),
  )
}

/** A function gives a query only where it is baked. */
function built(query: unknown): unknown {
  if (typeof query === 'object' && query !== null) return query
  if (typeof query === 'function' && isQuery(query)) return query
  throw new UsageError(
    `executeMany() takes SQL text, a baked statement or a query that was built, not ${describeType(query)}.`,
  )
}

/** What a getter or a proxy of the caller throws. */
function readable(error: unknown): unknown {
  if (error instanceof GeneverError) return error
  return new ParameterError('The parameters cannot be read: looking at them throws.', { cause: error })
}

/** Compiles the text or asks the builder, and checks the parameters. */
function prepare(
  executor: Executor,
  engine: Engine,
  { maxRows, spec, several }: Cardinality,
  query: Query<unknown> | Recipe | string,
  given: Params | undefined,
  options: QueryOptions | null,
): EngineOp {
  const { statements } = engine
  let source: Source | null = null
  let compiled: Compiled
  let params: readonly unknown[]
  if (typeof query === 'string' || query instanceof Recipe) {
    try {
      if (typeof query === 'string') ({ compiled, params } = statements.compile(query).bind(given))
      else {
        source = query
        compiled = query.plan.on(statements)
        params = query.plan.values(given)
      }
    } catch (error) {
      throw readable(error)
    }
  } else {
    const statement = adapt(query, maxRows)
    source = statement
    if (statement.plan === undefined)
      ({ compiled, params } = statements.compile(statement.sql).bind(valuesOf(statement)))
    else {
      compiled = statement.plan.on(statements)
      params = statement.params
    }
  }
  if (compiled.cls === 'multi' && !(several && params.length === 0)) throw severalStatements(compiled)
  const foreign = spec === firstColumn && source?.value !== undefined ? valueOf(source.value) : null
  return new EngineOp(
    engine,
    currentChain(),
    executor.handleHere(),
    compiled,
    params,
    foreign === null ? (spec ?? source?.spec ?? null) : (source?.spec ?? null),
    foreign ?? (spec === null ? (source?.decode ?? null) : null),
    source?.maxRows ?? maxRows,
    engine.until(options, executor.defaultsHere()),
    engine.signal(options),
  )
}

/** A text that came without values may hold `$1` for the server's sake. */
const valuesOf = ({ params }: Statement): readonly unknown[] | undefined => (params.length === 0 ? undefined : params)

/** What rows become by the query itself. */
interface Source {
  readonly spec?: RowSpec | null | undefined
  readonly decode?: ((rows: readonly unknown[], within: Within | null) => readonly unknown[]) | null | undefined
  readonly value?: ((rows: readonly unknown[]) => unknown) | undefined
  readonly maxRows?: 0 | undefined
}

/** Makes of the rows of a foreign builder what `firstColumn` makes of others. */
function valueOf(value: (rows: readonly unknown[]) => unknown): (rows: readonly unknown[]) => unknown[] {
  return (rows) => (rows.length === 0 ? [] : [value(rows)])
}

function rowsOf(op: EngineOp): unknown[] {
  return op.decode === null ? op.rows : [...op.decode(op.rows, op.transaction)]
}

function about(stmt: Compiled): { statement: { sql: string } } {
  return { statement: { sql: stmt.text } }
}

function tooMany(method: string, op: EngineOp): MultipleResultsError {
  return new MultipleResultsError(
    `${method}() found more than one row. Narrow the query, or use first() or all().`,
    about(op.stmt),
  )
}

export function severalStatements(stmt: Compiled): UsageError {
  return new UsageError(
    'This text holds several statements. Run them one by one, or all with status(text) and no parameters.',
    about(stmt),
  )
}
