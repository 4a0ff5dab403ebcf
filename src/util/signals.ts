// Abort signals with one listener each, however many operations wait on the same signal. Knows nothing of databases.

export interface Abortable {
  /** Called once when the signal aborts while the entry is watched. */
  abort(reason: unknown): void
}

const watched = new WeakMap<AbortSignal, Set<Abortable>>()

/** Tells `entry` when `signal` aborts. The caller has checked that it is not aborted already. */
export function watchSignal(signal: AbortSignal, entry: Abortable): void {
  let entries = watched.get(signal)
  if (entries === undefined) {
    const fresh = new Set<Abortable>()
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
