// Those who stop when a signal aborts. A signal has one listener of ours, however many statements it can stop: it may be that of a whole
// service, and live as long as that.
import { Roll } from './line.ts'

export interface Abortable {
  /** Called once when the signal aborts while the entry is watched. */
  abort(reason: unknown): void
}

const watched = new WeakMap<AbortSignal, Roll<Abortable>>()

/** Tells `entry` when `signal` aborts. The caller has checked that it is not aborted already. */
export function watchSignal(signal: AbortSignal, entry: Abortable): void {
  let entries = watched.get(signal)
  if (entries === undefined) {
    const fresh = new Roll<Abortable>()
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
