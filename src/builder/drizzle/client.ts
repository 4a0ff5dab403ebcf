// The client a Drizzle instance is built on: `query` of node-postgres, PGlite or mysql2, or the function of a proxy, told
// apart by how they are called. Each call is one statement of an executor. It opens nothing and begins no transaction.
import { UsageError } from '../../errors/index.ts'
import { type Cardinality, execute } from '../../engine/query/execute.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { EngineOp } from '../../engine/query/op.ts'
import { rowChecks } from '../../engine/query/query-terms.ts'
import type { Field, Shape } from '../../sql/compiled.ts'
import { mysqlRows, nodePgRows, pgliteRows } from './values.ts'

interface NodePgQuery {
  readonly text: string
  readonly values?: readonly unknown[] | undefined
  readonly rowMode?: string | undefined
}

interface Mysql2Query {
  readonly sql: string
  readonly values?: readonly unknown[] | undefined
  readonly rowsAsArray?: boolean | undefined
}

interface PgliteOptions {
  readonly rowMode?: string | undefined
}

/** What both Drizzle and users who ask for `q.$client` may call. */
export interface Client {
  (sql: string, params: readonly unknown[], method: string): Promise<unknown>
  query(
    query: string | NodePgQuery | Mysql2Query,
    params?: readonly unknown[],
    options?: PgliteOptions,
  ): Promise<unknown>
  /** Of mysql2. */
  execute(sql: string, params?: readonly unknown[]): Promise<unknown>
  connect(): never
  transaction(): never
}

/** Statement names are left out on purpose: the engine names what it prepares. */
export function makeClient(executor: Executor): Client {
  const send = (
    text: string,
    params: readonly unknown[] | undefined,
    as: Cardinality,
  ): Promise<Record<string, unknown>> =>
    execute(executor, as, text, params === undefined || params.length === 0 ? undefined : sent(params), undefined)
  const query: Client['query'] = (asked, params, options) => {
    if (typeof asked === 'string') {
      if (options === undefined) return send(asked, params, pgObjects)
      return send(asked, params, options.rowMode === 'array' ? pgliteArrays : pgliteObjects)
    }
    if ('sql' in asked)
      return send(asked.sql, params ?? asked.values, asked.rowsAsArray === true ? mysqlArrays : mysqlObjects)
    return send(asked.text, params ?? asked.values, asked.rowMode === 'array' ? pgArrays : pgObjects)
  }
  const proxy = (text: string, params: readonly unknown[], method: string): Promise<unknown> =>
    send(text, params, method === 'all' ? pgArrays : pgObjects)
  return Object.assign(proxy, {
    query,
    execute: (text: string, params?: readonly unknown[]) => send(text, params, mysqlObjects),
    connect: refuse,
    transaction: refuse,
  })
}

/** node-postgres sends `undefined` as NULL, and so does every Drizzle on it. */
function sent(params: readonly unknown[]): readonly unknown[] {
  return params.includes(undefined) ? params.map((value) => (value === undefined ? null : value)) : params
}

function refuse(): never {
  throw new UsageError(
    'This client lends no connection and opens no transaction: use transaction() of your Drizzle, or of your db.',
  )
}

const answering = (spec: Cardinality['spec'], give: Cardinality['give'], dialect = 'postgres'): Cardinality => ({
  method: 'query()',
  maxRows: 0,
  spec,
  several: true,
  give,
  checks: rowChecks,
  dialect,
})

const pgArrays = answering(nodePgRows.arrays, pgResult)
const pgObjects = answering(nodePgRows.objects, pgResult)
const pgliteArrays = answering(pgliteRows.arrays, pgliteResult)
const pgliteObjects = answering(pgliteRows.objects, pgliteResult)
const mysqlArrays = answering(mysqlRows.arrays, mysqlResult, 'mysql')
const mysqlObjects = answering(mysqlRows.objects, mysqlResult, 'mysql')

function pgResult(op: EngineOp): unknown {
  const { tag, count, rows } = op
  return { command: firstWord(tag), rowCount: count < 0 ? null : count, oid: null, rows, fields: fieldsOf(op) }
}

function pgliteResult(op: EngineOp): unknown {
  return { rows: op.rows, fields: fieldsOf(op), affectedRows: Math.max(op.count, 0) }
}

const givesRows = /^(?:SHOW|DESC|DESCRIBE|EXPLAIN|CALL|HELP|CHECK|CHECKSUM)$/

/** Rows, or what mysql2 tells of a statement without, as far as the engine knows it. */
function mysqlResult({ count, rows, insertId, stmt }: EngineOp): unknown {
  if (rows.length > 0 || stmt.cls === 'read' || givesRows.test(stmt.verb)) return [rows, []]
  const header = {
    fieldCount: 0,
    affectedRows: Math.max(count, 0),
    insertId: insertId ?? 0,
    info: '',
    warningStatus: 0,
  }
  return [header, undefined]
}

/** node-postgres keeps one word of `CREATE TABLE`. */
function firstWord(tag: string): string {
  const end = tag.indexOf(' ')
  return end < 0 ? tag : tag.slice(0, end)
}

const known = new WeakMap<Shape, readonly object[]>()

function fieldsOf({ shape: said, stmt }: EngineOp): readonly object[] {
  const shape = said ?? stmt.shape
  if (shape === null) return []
  let fields = known.get(shape)
  if (fields === undefined) {
    fields = shape.fields.map(fieldOf)
    known.set(shape, fields)
  }
  return fields
}

function fieldOf({ name, table, column, type, typmod }: Field): object {
  return { name, tableID: table, columnID: column, dataTypeID: type, dataTypeModifier: typmod, format: 'text' }
}
