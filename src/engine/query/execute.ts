// The one async layer between the user and the wire: a call becomes an operation, is sent and awaited, and a failure
// becomes an error here, after the await, so that its stack shows the caller's line. What a method makes of the rows is
// its `Cardinality`.
import { MultipleResultsError, NoResultError, UsageError } from '../../errors/index.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import { adapt, type Params, type Query, type Statement } from '../../sql/statement.ts'
import { currentChain } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { Executor } from './executor.ts'
import { thrownError } from './failure.ts'
import { EngineOp } from './op.ts'
import type { QueryOptions } from './query-options.ts'
import { Status } from './status.ts'

/** How many rows a method asks for, and what it makes of them. */
export interface Cardinality {
  /** 0: all. */
  readonly maxRows: number
  /** Replaces what the query itself says a row becomes. */
  readonly spec: RowSpec | null
  /** Whether one text may hold several statements. */
  readonly several: boolean
  readonly give: (op: EngineOp) => unknown
}

const firstColumn: RowSpec = { into: 'scalar', make: null, columns: null }

export const everyRow: Cardinality = { maxRows: 0, spec: null, several: false, give: rowsOf }
export const firstRow: Cardinality = { maxRows: 1, spec: null, several: false, give: (op) => rowsOf(op)[0] }
export const firstValue: Cardinality = { maxRows: 1, spec: firstColumn, several: false, give: (op) => rowsOf(op)[0] }

export const onlyRow: Cardinality = {
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
  maxRows: 2,
  spec: null,
  several: false,
  give(op) {
    const rows = rowsOf(op)
    if (rows.length > 1) throw tooMany('oneOrNone', op)
    return rows[0]
  },
}

export const answer: Cardinality = {
  maxRows: 0,
  spec: null,
  several: true,
  give: (op) => new Status(op.tag, op.count < 0 ? null : op.count, rowsOf(op)),
}

export async function execute<R, T>(
  executor: Executor,
  cardinality: Cardinality,
  query: Query<R> | string,
  second: Params | QueryOptions | undefined,
  third: QueryOptions | undefined,
): Promise<T> {
  const here = executor.engineHere()
  const op = prepare(executor, here instanceof Promise ? await here : here, cardinality, query, second, third)
  executor.send(op)
  try {
    await op.wait()
  } catch (thrown) {
    throw thrownError(thrown, op)
  }
  return cardinality.give(op) as T
}

/** Compiles the text or asks the builder, and checks the parameters. */
function prepare(
  executor: Executor,
  engine: Engine,
  { maxRows, spec, several }: Cardinality,
  query: Query<unknown> | string,
  second: Params | QueryOptions | undefined,
  third: QueryOptions | undefined,
): EngineOp {
  const text = typeof query === 'string'
  const statement: Statement | null = text ? null : adapt(query, maxRows)
  const options = ((text ? third : second) as QueryOptions | undefined) ?? null
  const { compiled, params } =
    statement === null
      ? engine.statements.compile(query as string).bind(second as Params | undefined)
      : engine.statements.compile(statement.sql).bind(statement.params)
  if (compiled.cls === 'multi' && !(several && params.length === 0)) throw severalStatements(compiled)
  const foreign = spec === firstColumn && statement?.value !== undefined ? valueOf(statement.value) : null
  return new EngineOp(
    engine,
    currentChain(),
    executor.handleHere(),
    compiled,
    params,
    foreign === null ? (spec ?? statement?.spec ?? null) : (statement?.spec ?? null),
    foreign ?? (spec === null ? (statement?.decode ?? null) : null),
    statement?.maxRows ?? maxRows,
    engine.until(options, executor.defaultsHere()),
    engine.signal(options),
  )
}

/** Makes of the rows of a foreign builder what `firstColumn` makes of others. */
function valueOf(value: (rows: readonly unknown[]) => unknown): (rows: readonly unknown[]) => unknown[] {
  return (rows) => (rows.length === 0 ? [] : [value(rows)])
}

function rowsOf(op: EngineOp): unknown[] {
  return op.decode === null ? op.rows : [...op.decode(op.rows)]
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
