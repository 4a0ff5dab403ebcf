// The hooks that run after a transaction: `afterCommit` and `afterRollback`. The hooks of a nested transaction follow the fate
// of its savepoint and run with those of the outermost, once the outcome can no longer change.
import { needsFunction } from '../../util/options.ts'
import type { Fate, Follower } from '../../sql/statement.ts'

export type Hook = () => unknown
type HookKind = 'commit' | 'rollback'
type Occasion = HookKind | 'always'

export class Hooks {
  #entries: { readonly on: Occasion; readonly hook: Hook }[] = []

  get empty(): boolean {
    return this.#entries.length === 0
  }

  add(on: HookKind, hook: Hook): void {
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
  async run(outcome: Fate): Promise<{ commits: unknown[]; rollbacks: unknown[] }> {
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

/**
 * Adds a hook to the transaction that is open where it is given: `db.afterCommit(work)` and `conn.afterCommit(work)`, for code that
 * was passed nothing. Rejects with what a hook throws that runs at once, because none is open.
 */
export async function addHook(kind: HookKind, hook: Hook, find: () => { readonly hooks: Hooks } | null): Promise<void> {
  const [name, what] = kind === 'commit' ? ['afterCommit()', 'commit'] : ['afterRollback()', 'rollback']
  needsFunction(hook, name, `the function to run after the ${what}`)
  const record = find()
  if (record !== null) record.hooks.add(kind, hook)
  else if (kind === 'commit') await hook()
}

/**
 * Code that follows the fate of a transaction in memory: when it is rolled back, values that its statements put into objects are
 * taken out again. They hear of it before the code around the transaction goes on, in no context, without awaiting: no hooks of users.
 */
export class Followers {
  #followers: Follower[] = []
  /** The fate that they have heard; a follower that comes later hears it at once. */
  #told: Fate | null = null

  add(follower: Follower): void {
    if (this.#told === null) this.#followers.push(follower)
    else follower(this.#told)
  }

  /** The savepoint was released: its followers follow the transaction around it. */
  join(outer: Followers): void {
    this.#told ??= 'commit'
    for (const follower of this.#followers.splice(0)) outer.add(follower)
  }

  /** The last one first, so that each finds what it left behind. Only the first call counts. */
  tell(fate: Fate): void {
    this.#told ??= fate
    for (const follower of this.#followers.splice(0).toReversed()) follower(fate)
  }
}
