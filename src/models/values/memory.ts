// The values that one change has put into an instance. They stay when the database has them for good. Otherwise each member is what it was
// before, unless it was given another value since.
import { isDeepStrictEqual } from 'node:util'
import type { Fate, Within } from '../../sql/statement.ts'
import { type MemoryChange, noKey, Row } from '../meta/row.ts'

type Fields = Record<string, unknown>

export class Memory {
  readonly #instance: object
  #changes: MemoryChange[] = none

  constructor(instance: object) {
    this.#instance = instance
  }

  /** Sets a field, or with null the key of the row. */
  set(key: string | null, value: unknown): void {
    const before = read(this.#instance, key)
    write(this.#instance, key, value)
    this.note(key, before)
  }

  /** The member was set by something else. */
  note(key: string | null, before: unknown): void {
    const value = read(this.#instance, key)
    for (const change of this.#changes)
      if (change.key === key) {
        change.value = value
        return
      }
    const change = { key, before, value }
    if (this.#changes.length === 0) this.#changes = [change]
    else this.#changes.push(change)
    Row.changes(this.#instance).push(change)
  }

  /** The statement has succeeded; what comes of it is what comes of the transaction it ran in. */
  follow(within: Within | null): void {
    const changes = this.#changes
    this.#changes = none
    if (within === null) settle(this.#instance, changes)
    else followed(this.#instance, changes, within)
  }

  /** The statement has failed. */
  undo(fate: Fate): void {
    undo(this.#instance, this.#changes, fate)
    this.#changes = none
  }
}

/** Never filled: the first change brings a list of its own. */
const none: MemoryChange[] = []

function followed(instance: object, changes: readonly MemoryChange[], within: Within): void {
  within.follow((fate) => (fate === 'commit' ? settle(instance, changes) : undo(instance, changes, fate)))
}

function settle(instance: object, changes: readonly MemoryChange[]): void {
  const open = Row.changes(instance)
  for (let i = changes.length - 1; i >= 0; i--) take(open, changes[i] as MemoryChange)
}

/** A change made later has found what this one left: it goes back further. */
function undo(instance: object, changes: readonly MemoryChange[], fate: Fate): void {
  const open = Row.changes(instance)
  for (const change of changes.toReversed()) {
    const at = take(open, change)
    const { key, before, value } = change
    const later = open.find((other, index) => index >= at && other.key === key)
    if (later !== undefined) {
      if (isDeepStrictEqual(later.before, value)) later.before = before
    } else if (key === null && fate === 'unknown') Row.setKey(instance, noKey.uncertain)
    else if (isDeepStrictEqual(read(instance, key), value)) write(instance, key, before)
  }
}

/** Gives the place it had. */
function take(open: MemoryChange[], change: MemoryChange): number {
  const at = open.indexOf(change)
  if (at === open.length - 1) open.pop()
  else if (at >= 0) open.splice(at, 1)
  return Math.max(at, 0)
}

function read(instance: object, key: string | null): unknown {
  return key === null ? Row.keyOf(instance) : (instance as Fields)[key]
}

function write(instance: object, key: string | null, value: unknown): void {
  if (key === null) Row.setKey(instance, value)
  else (instance as Fields)[key] = value
}
