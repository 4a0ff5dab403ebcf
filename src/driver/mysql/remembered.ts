// The settings that were changed in one session by name, so that they can be taken back by name: a reset by the server would drop every
// prepared statement. And the statements that turn a bare session into the one that `onConnect` left.
import { targetsSet } from '../../mysql/dialect.ts'
import { Dirty } from '../../sql/compiled.ts'
import type { Op } from '../driver.ts'

export interface Replayed {
  readonly text: string
  readonly params: readonly unknown[]
}

const mostReplayed = 100

export class Remembered {
  readonly #set = new Set<string>()
  /** Something was set that has no name here: only a reset by the server undoes it. */
  beyond = false
  /** The role is another, which nothing undoes. */
  role = false
  /** While the session is set up: what was set so far. */
  #setup: Replayed[] | null = []
  baseline: readonly Replayed[] = []

  note({ stmt: { text, verb, dirties }, params }: Op): void {
    const framed = (dirties & Dirty.framed) !== 0
    // Every reset goes back to the database by itself.
    if (framed && verb === 'USE') return
    if (this.#setup !== null && !framed && this.#setup.length < mostReplayed) this.#setup.push({ text, params })
    this.role ||= (dirties & Dirty.role) !== 0
    const names = targetsSet(text)
    if (names === null) this.beyond = true
    else for (const name of names) this.#set.add(name)
  }

  /** The session is as every user gets it. */
  settle(): void {
    this.baseline = this.#setup ?? []
    this.#setup = null
    this.forget()
  }

  /** It was lent: what is set from now on is undone. */
  seal(): void {
    this.#setup = null
  }

  forget(): void {
    this.#set.clear()
    this.beyond = false
    this.role = false
  }

  /** A text that takes back all that was set; null if nothing was. */
  undoing(): string | null {
    if (this.#set.size === 0) return null
    const each = Array.from(this.#set, (name) => (name.startsWith('@') ? `${name} = NULL` : `${name} = DEFAULT`))
    return `SET ${each.join(', ')}`
  }
}
