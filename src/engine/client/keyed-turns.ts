// Turns at named things, in the order they were asked for: one holder alone, or several that share.
import { deferred } from '../../util/clock.ts'

export interface Turn {
  readonly granted: boolean
  /** Gives true when it is this one's turn. */
  readonly turn: Promise<boolean>
  /** Gives the thing back, or the wait up. */
  readonly leave: () => void
}

interface Entry {
  readonly shared: boolean
  granted: boolean
  readonly grant: () => void
}

export class KeyedTurns {
  /** For each thing the holders, then the waiters. */
  readonly #queues = new Map<string, Entry[]>()

  ask(name: string, shared: boolean): Turn {
    const queue = this.#queues.get(name) ?? []
    this.#queues.set(name, queue)
    const { promise: turn, resolve } = deferred<boolean>()
    const entry: Entry = { shared, granted: false, grant: () => resolve(true) }
    queue.push(entry)
    this.#admit(queue)
    return { granted: entry.granted, turn, leave: () => this.#leave(name, queue, entry) }
  }

  /** Whether one alone has the thing. */
  isAlone(name: string): boolean {
    return this.#queues.get(name)?.filter(({ granted }) => granted).length === 1
  }

  #leave(name: string, queue: Entry[], entry: Entry): void {
    const at = queue.indexOf(entry)
    if (at < 0) return
    queue.splice(at, 1)
    this.#admit(queue)
    if (queue.length === 0) this.#queues.delete(name)
  }

  #admit(queue: readonly Entry[]): void {
    for (const [index, entry] of queue.entries()) {
      if (index > 0 && !(entry.shared && (queue[index - 1] as Entry).shared)) return
      if (entry.granted) continue
      entry.granted = true
      entry.grant()
    }
  }
}
