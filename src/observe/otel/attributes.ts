// Names of OpenTelemetry's semantic conventions for databases, and the attributes that spans and metrics share.
import { type ServerInfo, hookFailed, withoutLiterals } from '../channels.ts'
import type { Attributes } from './api.ts'
import { contain } from '../../util/thrown.ts'

export const poolName = 'db.client.connection.pool.name'

const servers = new WeakMap<ServerInfo, Attributes>()

/** Which database: made once for each engine. */
export function serverAttributes(server: ServerInfo): Attributes {
  let attributes = servers.get(server)
  if (attributes === undefined) {
    const { system, database, address, port } = server
    attributes = {
      'db.system.name': system,
      ...(database === undefined ? {} : { 'db.namespace': database }),
      ...(address === undefined ? {} : { 'server.address': address }),
      ...(port === undefined ? {} : { 'server.port': port }),
    }
    servers.set(server, attributes)
  }
  return attributes
}

/** What failed: both attributes for an SQLSTATE, which has five characters, digits and upper case, and for a number of MySQL. */
export function errorAttributes(error: string | undefined): Attributes {
  if (error === undefined) return {}
  return /^(?:[0-9A-Z]{5}|\d{4,5})$/.test(error)
    ? { 'error.type': error, 'db.response.status_code': error }
    : { 'error.type': error }
}

/** `SELECT shop`: the operation and what it is done to, of which the database is all that is known. */
export function spanName(operation: string, { system, database, address, port }: ServerInfo): string {
  const target = database ?? (address === undefined || port === undefined ? address : `${address}:${port}`)
  if (operation === '') return target ?? system
  return target === undefined ? operation : `${operation} ${target}`
}

// Subscribers that call the tracer or meter they were given: what that throws must neither end the process nor keep the
// statement's caller waiting.

/** Calls `tell` with each event; what it throws is told as the notice `hook-failed`. */
export function told<E>(tell: (event: E) => void): (event: E) => void {
  return (event) =>
    contain(
      () => tell(event),
      (thrown) => hookFailed('The tracer or meter of OpenTelemetry failed; an event is missing there.', thrown),
    )
}

// The text of a statement as an attribute. One with parameters goes as it is, for its values are elsewhere; one without
// may have been glued together by somebody, so its literals and comments are taken out, as the conventions ask.
const longest = 10_000
const mostRemembered = 500

const remembered = new Map<string, string>()

export function queryText(sql: string, parameters: number): string {
  if (parameters > 0) return cut(sql)
  const known = remembered.get(sql)
  if (known !== undefined) return known
  const text = withoutLiterals(cut(sql))
  if (sql.length <= longest) {
    if (remembered.size >= mostRemembered) remembered.clear()
    remembered.set(sql, text)
  }
  return text
}

function cut(sql: string): string {
  return sql.length > longest ? `${sql.slice(0, longest)} …` : sql
}
