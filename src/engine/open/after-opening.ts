// The wait of a call for a database that is opened on first use. It ends at the deadline of the call, and counts to it; the
// opening itself goes on, for others and for the next call.
import { AbortedError, AcquireTimeoutError } from '../../errors/index.ts'
import { readAgain } from '../../util/options.ts'
import { longestTimerMs } from '../../util/timers.ts'
import { clock } from '../../util/clock.ts'

interface Waits {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The options with what is left of their time once the database is open. Rejects as the opening does.
 * @throws {AcquireTimeoutError} when `timeoutMs` is over before. @throws {AbortedError} when `signal` aborts before.
 */
export async function afterOpening<O extends Waits & object>(opening: Promise<unknown>, options: O): Promise<O> {
  const { timeoutMs, signal } = options
  if (timeoutMs === undefined && signal === undefined) {
    await opening
    return options
  }
  const began = clock.now()
  await within(opening, timeoutMs, signal)
  if (timeoutMs === undefined) return options
  return readAgain<Waits>(options, { timeoutMs: Math.max(timeoutMs - (clock.now() - began), 0) }) as O
}

function within(opening: Promise<unknown>, timeoutMs = Infinity, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const expired = (): void =>
      reject(
        new AcquireTimeoutError(
          `Waited ${timeoutMs} ms for the database to be opened, which goes on. Give the call more time, or open the database ` +
            'before it is used: db.open().',
          { phase: 'connect', timeoutMs },
        ),
      )
    const aborted = (): void =>
      reject(
        new AbortedError('The call was aborted by its signal, before the database was open.', {
          cause: signal?.reason,
        }),
      )
    const timer = timeoutMs <= longestTimerMs ? clock.setTimeout(expired, timeoutMs) : undefined
    signal?.addEventListener('abort', aborted, { once: true })
    if (signal?.aborted === true) aborted()
    void opening
      .then(() => resolve(), reject)
      .finally(() => {
        clock.clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
      })
  })
}
