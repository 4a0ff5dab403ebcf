// Errors of node-postgres and of sockets as plain data: the fields of an ErrorResponse, and the reason why a connection could not be
// opened or was lost.
import { State } from '../../postgres/sqlstate.ts'
import type { Failure } from '../driver.ts'
import { fieldNames } from '../postgres/message-reader.ts'
import { textIn } from '../../util/thrown.ts'
import type { PgFields } from './client.ts'

/** The fields of an ErrorResponse or notice; null when the error is none. */
export function responseFields(error: unknown): Record<string, string> | null {
  if (typeof error !== 'object' || error === null) return null
  const response = error as PgFields
  if (typeof response['severity'] !== 'string' || typeof response['code'] !== 'string') return null
  const fields: Record<string, string> = {}
  for (const name of Object.values(fieldNames)) {
    const value = response[name]
    if (typeof value === 'string') fields[name] = value
  }
  return fields
}

/** Why no connection came about. */
export function openFailure(error: unknown): Failure {
  const fields = responseFields(error)
  if (fields !== null) return { kind: 'server', outcome: 'not_started', fields }
  const message = textIn(error, 'message') ?? ''
  // The client's side of the password exchange fails with bare errors, one of them when there is no password at all.
  if (message.startsWith('SASL')) {
    const refused = { severity: 'FATAL', code: State.wrongPassword, message }
    return { kind: 'server', outcome: 'not_started', fields: refused, cause: error }
  }
  return { kind: message === 'timeout expired' ? 'timeout' : 'lost', outcome: 'not_started', cause: error }
}
