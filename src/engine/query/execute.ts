// Between the user and the wire: a call becomes an operation, which is sent, and returns the promise of that operation. There is no
// other promise. An error is made when the caller waits for it, so that its stack shows the caller's line. The `Cardinality` of a
// method says what it makes of the rows.
import {
  type ErrorDetails,
  MultipleResultsError,
  NoResultError,
  NotFoundError,
  StalePlanError,
} from '../../errors/index.ts'
import { Recipe } from '../../sql/baked.ts'
import type { Bound } from '../../sql/compile.ts'
import { type Compiled, type Field, firstColumn, type RowSpec } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import {
  adapt,
  checkDialect,
  type Params,
  type Query,
  type Rows,
  rowsInto,
  type Statement,
} from '../../sql/statement.ts'
import { clock } from '../../util/clock.ts'
import { type Checks, noOptions } from '../../util/options.ts'
import { rejected } from '../../util/thrown.ts'
import type { Handle } from '../context/frame.ts'
import { placeOf } from '../handle.ts'
import { afterOpening } from '../open/opening.ts'
import { thrownError, unmadeError } from './failure.ts'
import { refuseLeaving } from '../context/place.ts'
import { chainOfMade, markOrigin } from './made-with.ts'
import { EngineOp } from './op.ts'
import {
  optionsOf,
  readable,
  type ReadTerms,
  rowChecks,
  type RowTerms,
  setFrom,
  severalStatements,
  specOf,
  statusChecks,
  type StatusTerms,
  withoutRows,
} from './query-terms.ts'
import type { Runner, StatementEngine } from './runner.ts'
import { tagsOf } from '../context/chain.ts'

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
  /** It reads all rows at once, and what they become is all that it gives. */
  readonly atOnce?: boolean
  readonly give: (op: EngineOp) => unknown
  /** The options it takes. */
  readonly checks: Checks<RowTerms>
  /** The dialect that its texts are written in, where that is fixed. */
  readonly dialect?: string | undefined
}

/** Makes the answer of a statement; a count of -1: it has none. */
type MakeStatus<S extends Status> = (
  ended: { readonly tag: string; readonly count: number },
  rows: unknown[],
  fields: readonly Field[],
  insertId?: bigint | number,
) => S

const inObjects: MakeStatus<Status> = ({ tag, count }, rows, _fields, insertId) =>
  new Status(tag, count < 0 ? null : count, rows, insertId)

const inArrays: MakeStatus<ArrayStatus> = ({ tag, count }, rows, fields) =>
  new ArrayStatus(tag, count < 0 ? null : count, rows as unknown[][], fields)

const first = (op: EngineOp): unknown => rowsOf(op)[0]

/** The cardinality of a method that reads all rows at once, and gives only what it makes of them. */
function ofRows(method: string, maxRows: number, give: Cardinality['give']): Cardinality {
  return { method, maxRows, spec: null, several: false, atOnce: true, give, checks: rowChecks }
}

export const everyRow: Cardinality = ofRows('all()', 0, rowsOf)
export const firstRow: Cardinality = ofRows('first()', 1, first)
export const firstValue: Cardinality = {
  ...firstRow,
  method: 'scalar()',
  spec: firstColumn,
  atOnce: false,
  checks: withoutRows('one value'),
}

export const onlyRow: Cardinality = ofRows('one()', 2, (op) => {
  const rows = rowsOf(op)
  if (rows.length === 0) throw noRow(about(op.stmt))
  if (rows.length > 1) throw severalRows('one()', about(op.stmt))
  return rows[0]
})

export const onlyRowOrNone: Cardinality = ofRows('oneOrNone()', 2, (op) => {
  const rows = rowsOf(op)
  if (rows.length > 1) throw severalRows('oneOrNone()', about(op.stmt))
  return rows[0]
})

export const firstRowOrNotFound: Cardinality = ofRows('firstOr404()', 1, (op) => {
  const rows = rowsOf(op)
  if (rows.length === 0) throw new NotFoundError('There is no such row.', about(op.stmt))
  return rows[0]
})

export const answer: Cardinality = {
  method: 'status()',
  maxRows: 0,
  spec: null,
  several: true,
  give: (op) => answerOf(op, inObjects),
  checks: statusChecks,
}

/** Values in their order: names may come twice. */
const answerInArrays: Cardinality = {
  ...answer,
  spec: { into: 'array', make: null, columns: null },
  give: (op) => answerOf(op, inArrays),
}

/**
 * A text and a recipe come with their parameters, and options third; a built query has its own, and options second. `before`: how it ran
 * before, where it runs again.
 */
// Not async: that would be a promise around the one of the statement.
export function execute<R, T>(
  executor: Runner,
  cardinality: Cardinality,
  query: Query<R> | Recipe | string,
  second: Params | ReadTerms | Handle | undefined,
  third: ReadTerms | Handle | undefined,
  before: EngineOp | null = null,
): Promise<T> {
  try {
    let place = executor
    let options: (StatusTerms & RowTerms) | null = null
    if (second !== undefined || third !== undefined) {
      options = optionsOf<RowTerms>(query, second, third, cardinality.checks, cardinality.method)
      if (options?.on !== undefined) place = placeOf(options.on, executor, cardinality.method)
    }
    const here = place.engineHere(false)
    if (here instanceof Promise) return executeOpened(here, place, cardinality, query, second, options)
    if (before !== null) options = { ...options, timeoutMs: before.until - clock.now() }
    const kind = options?.rows === 'array' ? answerInArrays : cardinality
    const op = prepare(place, here, kind, query, second as Params | undefined, options)
    if (op.stmt.cls === 'multi' || (kind.several && here.dialect.severalResults?.(op.stmt) === true)) op.results = []
    if (options?.from !== undefined) setFrom(op, options.from, place)
    place.send(op)
    if (op.decode === null && here.watch === null) return op.answer<T>(kind.give)
    const mayBeUnpaired = op.spec?.kinds?.whole !== undefined && before === null
    const again = mayBeUnpaired ? () => execute<R, T>(executor, cardinality, query, second, third, op) : null
    return answerInContext<T>(op, kind, here, again)
  } catch (error) {
    return rejected(error)
  }
}

/** For rows that code of the caller makes, and for reports of slow and repeated statements, which name the line of the caller. */
async function answerInContext<T>(
  op: EngineOp,
  { give }: Cardinality,
  { watch }: StatementEngine,
  again: (() => Promise<T>) | null,
): Promise<T> {
  try {
    await op.wait()
  } catch (thrown) {
    watch?.ended(op)
    throw thrownError(thrown, op)
  }
  watch?.ended(op)
  try {
    return give(op) as T
  } catch (thrown) {
    // Its rows could not be paired. The query knows that by now, and is written in another way.
    if (again !== null && thrown instanceof StalePlanError) return again()
    throw thrown
  }
}

/** The first use of a database opens it, in the time of the call. */
async function executeOpened<R, T>(
  opening: Promise<StatementEngine>,
  executor: Runner,
  cardinality: Cardinality,
  query: Query<R> | Recipe | string,
  second: Params | ReadTerms | Handle | undefined,
  options: ReadTerms | null,
): Promise<T> {
  const left = await afterOpening<ReadTerms>(opening, options ?? noOptions)
  if (typeof query === 'string' || query instanceof Recipe) return execute(executor, cardinality, query, second, left)
  return execute(executor, cardinality, query, left, undefined)
}

type Form = Recipe | Statement

/** The operation of a call: its statement with the values, and what its rows become. */
function prepare(
  place: Runner,
  engine: StatementEngine,
  cardinality: Cardinality,
  query: Query<unknown> | Recipe | string,
  given: Params | undefined,
  options: RowTerms | null,
): EngineOp {
  const { spec, several, maxRows } = cardinality
  checkDialect(cardinality.dialect, engine.dialect)
  const here = place.chainHere()
  const form = typeof query === 'string' ? query : formOf(query, cardinality, engine.dialect)
  const says: Rows | null = typeof form === 'string' ? null : form
  const chain = typeof form === 'string' || form instanceof Recipe ? here : chainOfMade(form, engine, place, here)
  const { compiled, params } = bind(form, given, engine)
  if (chain !== undefined && compiled.cls !== 'read') refuseLeaving(compiled, engine, chain)
  if (compiled.cls === 'multi' && !(several && params.length === 0)) throw severalStatements(compiled)
  const rows = options?.into === undefined ? says : rowsInto(options.into, says, engine.dialect, spec)
  const value = spec === firstColumn ? rows?.value : undefined
  // Makes of the rows of a foreign builder what `firstColumn` makes of others.
  const foreign =
    typeof value === 'function' ? (all: readonly unknown[]) => (all.length === 0 ? [] : [value(all)]) : null
  const read = typeof value === 'object' ? value : spec
  const defaults = place.defaultsHere(engine, here)
  const tags = tagsOf(defaults) ?? engine.options.query.tags
  return new EngineOp(
    engine,
    chain,
    place.handleHere(),
    tags === undefined ? compiled : engine.statements.tag(compiled, tags),
    params,
    specOf((foreign === null ? read : null) ?? rows?.spec ?? null, engine, options),
    foreign ?? (spec === null ? (rows?.decode ?? null) : null),
    rows?.maxRows ?? maxRows,
    engine.until(options, defaults),
    engine.signal(options),
  )
}

/** A query as it is written for that dialect, and for what the method makes of its rows. */
function formOf(query: Query<unknown> | Recipe, { maxRows, atOnce = false }: Cardinality, dialect: Dialect): Form {
  if (!(query instanceof Recipe)) return adapt(query, maxRows, dialect, atOnce)
  try {
    const recipe = query.form(maxRows, atOnce)
    checkDialect(recipe.dialect, dialect)
    return recipe
  } catch (error) {
    throw readable(error)
  }
}

/** The statement with its values: those that were given with a text or a recipe; a built query has its own. */
function bind(form: Form | string, given: Params | undefined, { statements, dialect }: StatementEngine): Bound {
  if (typeof form !== 'string' && !(form instanceof Recipe)) {
    const { plan, sql, params } = form
    if (plan !== undefined) return { compiled: plan.on(statements), params }
    // A text that came without values may hold `$1` for the server's sake.
    return statements.compile(sql).bind(params.length === 0 ? undefined : params)
  }
  try {
    if (typeof form === 'string') return statements.compile(form).bind(given)
    const plan = form.plan.for(dialect)
    return { compiled: plan.on(statements), params: plan.values(given) }
  } catch (error) {
    throw readable(error)
  }
}

/** The answer to several statements is that to the last one, and its `results` are those of all. */
function answerOf<S extends Status>(op: EngineOp, make: MakeStatus<S>): S {
  const last = op.results?.at(-1)
  if (op.results === null || last === undefined)
    return make(op, rowsOf(op), (op.shape ?? op.stmt.shape)?.fields ?? [], op.insertId)
  const results = op.results.map((result) => make(result, rowsOf(op, result.rows), result.fields))
  const status = make(last, results.at(-1)?.rows as unknown[], last.fields)
  return Object.defineProperty(status, 'results', { value: results, enumerable: true })
}

function rowsOf(op: EngineOp, rows: unknown[] = op.rows): unknown[] {
  try {
    if (op.decode !== null) rows = [...op.decode(rows, op.transaction)]
  } catch (thrown) {
    throw unmadeError(thrown, op)
  }
  // Rows of which nobody has said anything are plain objects.
  if (rows.length > 0 && (op.spec !== null || op.decode !== null))
    markOrigin(rows, op.engine, op.wanted, op.decode !== null)
  return rows
}

function about(stmt: Compiled): { statement: { sql: string } } {
  return { statement: { sql: stmt.text } }
}

/** For `one()`. */
export function noRow(details?: ErrorDetails): NoResultError {
  return new NoResultError('one() found no row. Use first() or oneOrNone() where a row may be missing.', details)
}

export function severalRows(method: string, details?: ErrorDetails): MultipleResultsError {
  return new MultipleResultsError(
    `${method} found more than one row. Narrow the query, or use first() or all().`,
    details,
  )
}

/** The result of `status()`: the command, the count of rows, and the rows. */
export class Status<R = unknown> {
  /** The command as the server names it: `SELECT`, `INSERT`, `CREATE TABLE`; empty when nothing ran. */
  readonly command: string
  /** Rows affected or returned; null when the command has no count. */
  readonly rowCount: number | null
  readonly rows: readonly R[]
  /** The number that the database gave the first row of an INSERT: MySQL with AUTO_INCREMENT. A bigint where no number holds it. */
  declare readonly insertId?: bigint | number

  constructor(command: string, rowCount: number | null, rows: readonly R[], insertId: bigint | number = 0) {
    this.command = command
    this.rowCount = rowCount
    this.rows = rows
    if (insertId !== 0) this.insertId = insertId
  }

  /** One for each statement of the text, in their order. The other members are those of the last. */
  get results(): readonly Status<R>[] {
    return [this]
  }

  /** The line PostgreSQL prints: `INSERT 0 2`, `SELECT 1`, `CREATE TABLE`. */
  toString(): string {
    if (this.rowCount === null || this.command === '') return this.command
    return this.command === 'INSERT' ? `INSERT 0 ${this.rowCount}` : `${this.command} ${this.rowCount}`
  }
}

/** The answer of `status()` with rows as arrays. */
export class ArrayStatus extends Status<unknown[]> {
  /** The columns of the rows: their names, types (`type`: OID), and the table and column that they come from (0: none). */
  readonly fields: readonly Field[]

  constructor(command: string, rowCount: number | null, rows: readonly unknown[][], fields: readonly Field[]) {
    super(command, rowCount, rows)
    this.fields = fields
  }

  override get results(): readonly ArrayStatus[] {
    return [this]
  }
}
