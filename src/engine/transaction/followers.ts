// What follows the fate of a transaction in memory: values that its statements put into objects are put back when it is
// rolled back. Told before the code around the transaction goes on, in no context, without awaiting: no hooks of users.
import type { Fate, Follower } from '../../sql/statement.ts'

export class Followers {
  #followers: Follower[] = []
  /** What they were told; a follower that comes later is told at once. */
  #told: Fate | null = null

  add(follower: Follower): void {
    if (this.#told === null) this.#followers.push(follower)
    else follower(this.#told)
  }

  /** The savepoint was released: what happened in it follows the transaction around it. */
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
