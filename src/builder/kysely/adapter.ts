// Kysely's objects as queries of Genever: in `db.all(builder)`, and interpolated in `` db.sql`…` ``. Registered when `genever/kysely`
// is imported. It compiles and never runs anything.
import {
  type Compilable,
  type CompiledQuery,
  createQueryId,
  type OperationNode,
  type RawBuilder,
  type RootOperationNode,
} from 'kysely'
import { UsageError } from '../../errors/index.ts'
import type { Dialect } from '../../sql/dialect.ts'
import {
  hasMethod,
  type Adapter,
  registerAdapter,
  type Statement,
  toStatement,
  type ToStatement,
} from '../../sql/statement.ts'
import { compilerFor, fitting } from './dialect/compiler.ts'
import { decoderOf } from './plugins.ts'
import { describeType } from '../../util/options.ts'

interface NodeSource {
  toOperationNode(): OperationNode
}

const adapter: Adapter = {
  name: 'kysely',
  match: (value) => isNodeSource(value) || (hasMethod(value, 'compile') && hasMethod(value, 'execute')),
  toStatement: statementOf,
  compileEmbedded: (value, dialect) => (isNodeSource(value) ? textOf(compileNode(value, dialect)) : undefined),
}

registerAdapter(adapter)

/**
 * A query that Kysely has compiled, or its `` sql`…` ``, for the methods of an executor:
 * `db.all(toQuery(builder.compile()))`. A compiled query is plain data, and plain data is never taken for a query unasked.
 */
export function toQuery<Row>(query: CompiledQuery<Row> | RawBuilder<Row> | Compilable<Row>): ToStatement<Row> {
  return {
    [toStatement]: (_, dialect) =>
      isCompiled(query) ? finished<Row>(query, dialect) : statementOf<Row>(query, dialect),
  }
}

function statementOf<Row>(query: object, dialect?: Dialect): Statement<Row> {
  if (isNodeSource(query) && (isRaw(query) || !hasMethod(query, 'compile'))) {
    if (isRaw(query)) return textOf<Row>(compileNode(query, dialect))
    throw new UsageError(
      `An expression of Kysely (${describeType(query)}) is not a query: select it, or interpolate it in db.sql\`…\`.`,
    )
  }
  return finished<Row>((query as Compilable<Row>).compile(), dialect)
}

function finished<Row>(given: CompiledQuery<Row>, dialect: Dialect | undefined): Statement<Row> {
  const query = fitting(given, dialect)
  const decode = decoderOf(query.queryId)
  if (decode === undefined) return textOf<Row>(query)
  return { ...textOf<Row>(query), decode: decode as (rows: readonly unknown[]) => Row[] }
}

function textOf<Row>({ sql, parameters }: CompiledQuery): Statement<Row> {
  return { sql, params: parameters }
}

/** Compiles any node for the database, PostgreSQL where it is not known, whatever Kysely made it. */
function compileNode(source: NodeSource, dialect: Dialect | undefined): CompiledQuery {
  return compilerFor(dialect).compileQuery(source.toOperationNode() as RootOperationNode, createQueryId())
}

function isNodeSource(value: object): value is NodeSource {
  return hasMethod(value, 'toOperationNode')
}

function isRaw(value: object): boolean {
  return (value as { readonly isRawBuilder?: unknown }).isRawBuilder === true
}

function isCompiled<Row>(query: object): query is CompiledQuery<Row> {
  return typeof (query as { readonly sql?: unknown }).sql === 'string'
}
