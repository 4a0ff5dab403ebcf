// Why a pool lets somebody wait no longer, as data.
import type { Failure, Refusal } from '../driver/driver.ts'

export const closedFailure: Failure = refused({ reason: 'pool-closed' })

export function refused(refusal: Refusal): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal }
}

/** Of the failure to open the connection that was waited for. */
export function notConnected(failure: Failure): Failure {
  return { ...failure, ...refused({ reason: 'connect' }) }
}
