// How long a slot has waited for connections lately. The acquire timeout is one budget for all of its waits: a scope that
// waits for something else several times waits no longer for connections than one that never does.

/** Waits are forgotten after so many times the budget. */
const remembered = 2

export class Waits {
  readonly #budgetMs: number
  /** When each of them ended, in monotonic milliseconds, and how long it was. */
  #past: { readonly endedAt: number; readonly ms: number }[] = []

  constructor(budgetMs: number) {
    this.#budgetMs = budgetMs
  }

  note(since: number, now: number): void {
    if (this.#budgetMs !== Infinity) this.#past.push({ endedAt: now, ms: now - since })
  }

  /** How long it has waited within the time that counts, in milliseconds. */
  spentMs(now: number): number {
    this.#past = this.#past.filter(({ endedAt }) => now - endedAt < remembered * this.#budgetMs)
    return this.#past.reduce((sum, { ms }) => sum + ms, 0)
  }
}
