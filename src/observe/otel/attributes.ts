// Names of OpenTelemetry's semantic conventions for databases, and the attributes that spans and metrics share.
import type { ServerInfo } from '../channels.ts'
import type { Attributes } from './api.ts'

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

/** What failed: both attributes for an SQLSTATE, which has five characters, digits and upper case. */
export function errorAttributes(error: string | undefined): Attributes {
  if (error === undefined) return {}
  return /^[0-9A-Z]{5}$/.test(error)
    ? { 'error.type': error, 'db.response.status_code': error }
    : { 'error.type': error }
}

/** `SELECT shop`: the operation and what it is done to, of which the database is all that is known. */
export function spanName(operation: string, { system, database, address, port }: ServerInfo): string {
  const target = database ?? (address === undefined || port === undefined ? address : `${address}:${port}`)
  if (operation === '') return target ?? system
  return target === undefined ? operation : `${operation} ${target}`
}
