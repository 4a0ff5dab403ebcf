// What can go wrong between a thread that waits and the worker that works for it.
import { GeneverError, type Outcome } from './genever-error.ts'

/** The worker of `genever/sync` did not answer in time. Its work goes on, so whether it took effect is not known. */
export class SyncTimeoutError extends GeneverError {
  static override readonly code: string = 'GENEVER_SYNC_TIMEOUT'
  static override readonly outcome: Outcome = 'unknown'
}

/** The worker of `genever/sync` has ended: by `process.exit()`, or because an error was not caught there. */
export class SyncWorkerError extends GeneverError {
  static override readonly code: string = 'GENEVER_SYNC_WORKER'
  static override readonly outcome: Outcome = 'unknown'
}
