// Kysely's compilers, in the words of the database that a query runs on. A query that was compiled before that was known is
// compiled again when it is.
import {
  type CompiledQuery,
  MysqlQueryCompiler,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryId,
  type RootOperationNode,
} from 'kysely'
import type { Executor } from '../../../engine/query/executor.ts'
import type { Dialect } from '../../../sql/dialect.ts'
import { toStatement, type ToStatement } from '../../../sql/statement.ts'

type Named = Pick<Dialect, 'name'>
type Source = Pick<Executor, 'dialectHere' | 'engineQuietly'>

/** Compiled for PostgreSQL, because nobody knew of another database. */
const guessed = new WeakSet<CompiledQuery>()

export const isMysql = (dialect: Named | undefined): boolean => dialect?.name === 'mysql'

/** PostgreSQL's where the database is not known. */
export function compilerFor(dialect: Named | undefined): QueryCompiler {
  return isMysql(dialect) ? new MysqlQueryCompiler() : new PostgresQueryCompiler()
}

export class SourceCompiler implements QueryCompiler {
  readonly #source: Source

  constructor(source: Source) {
    this.#source = source
  }

  compileQuery(node: RootOperationNode, queryId: QueryId): CompiledQuery {
    const dialect = this.#source.dialectHere()
    const compiled = compilerFor(dialect).compileQuery(node, queryId)
    if (!isMysql(dialect) && this.#source.engineQuietly() === null) guessed.add(compiled)
    return compiled
  }
}

/** The query in the words of that database. */
export function fitting<R>(query: CompiledQuery<R>, dialect: Named | undefined): CompiledQuery<R> {
  if (!guessed.has(query) || !isMysql(dialect)) return query
  return compilerFor(dialect).compileQuery(query.query, query.queryId)
}

/** The query for an executor that knows the database when it runs it; null: its text is right wherever that is. */
export function asLate<R>(query: CompiledQuery): ToStatement<R> | null {
  if (!guessed.has(query)) return null
  return {
    [toStatement]: (_, dialect) => {
      const { sql, parameters } = fitting(query, dialect)
      return { sql, params: parameters }
    },
  }
}
