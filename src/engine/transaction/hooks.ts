// What runs after a transaction: `afterCommit` and `afterRollback`. The hooks of a nested transaction follow the fate
// of its savepoint and run with those of the outermost, once the outcome can no longer change.

export type Hook = () => unknown
type Fate = 'commit' | 'rollback' | 'always'

export class Hooks {
  #entries: { readonly on: Fate; readonly hook: Hook }[] = []

  get empty(): boolean {
    return this.#entries.length === 0
  }

  add(on: 'commit' | 'rollback', hook: Hook): void {
    this.#entries.push({ on, hook })
  }

  /** Takes over the hooks of a nested transaction that has ended. */
  adopt(nested: Hooks, committed: boolean): void {
    for (const entry of nested.#entries) {
      if (committed) this.#entries.push(entry)
      else if (entry.on !== 'commit') this.#entries.push({ on: 'always', hook: entry.hook })
    }
    nested.#entries = []
  }

  /**
   * Runs the hooks of this outcome in order, each awaited; gives what those of a commit and those of a rollback threw. An
   * unknown one has none but those of savepoints that were rolled back before.
   */
  async run(outcome: 'commit' | 'rollback' | 'unknown'): Promise<{ commits: unknown[]; rollbacks: unknown[] }> {
    const commits: unknown[] = []
    const rollbacks: unknown[] = []
    for (const { on, hook } of this.#entries.splice(0)) {
      if (on !== 'always' && on !== outcome) continue
      try {
        await hook()
      } catch (error) {
        const errors = on === 'commit' ? commits : rollbacks
        errors.push(error)
      }
    }
    return { commits, rollbacks }
  }
}
