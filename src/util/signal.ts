// Statements that stop when a signal aborts. A signal gets one listener, however many statements it stops: it may be the signal of a whole
// service, and live as long.
import { LinkedSet } from './linked-list.ts'

export interface Abortable {
  /** Called once when the signal aborts while the entry is watched. */
  abort(reason: unknown): void
}

const watched = new WeakMap<AbortSignal, LinkedSet<Abortable>>()

/** Tells `entry` when `signal` aborts. The caller has checked that it is not aborted already. */
export function watchSignal(signal: AbortSignal, entry: Abortable): void {
  let entries = watched.get(signal)
  if (entries === undefined) {
    const fresh = new LinkedSet<Abortable>()
    entries = fresh
    watched.set(signal, fresh)
    signal.addEventListener(
      'abort',
      () => {
        for (const each of fresh) each.abort(signal.reason)
        fresh.clear()
      },
      { once: true },
    )
  }
  entries.add(entry)
}

export function unwatchSignal(signal: AbortSignal, entry: Abortable): void {
  watched.get(signal)?.delete(entry)
}
