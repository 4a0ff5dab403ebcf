// The listeners of a client before it is lent, so that what its borrower adds does not hear of the next one's session.
import type { PgClient } from './client.ts'

export class Listeners {
  readonly #client: PgClient
  readonly #before: ReadonlyMap<string | symbol, readonly unknown[]>

  constructor(client: PgClient) {
    this.#client = client
    this.#before = new Map(client.eventNames().map((name) => [name, client.rawListeners(name)]))
  }

  /** Takes away what was added since. */
  restore(): void {
    for (const name of this.#client.eventNames()) {
      const kept = [...(this.#before.get(name) ?? [])]
      for (const listener of this.#client.rawListeners(name)) {
        const at = kept.indexOf(listener)
        if (at >= 0) kept.splice(at, 1)
        else this.#client.removeListener(name, listener)
      }
    }
  }
}
