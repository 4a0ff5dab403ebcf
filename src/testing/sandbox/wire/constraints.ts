// Deferred constraints in a transaction that never commits. Outside of the transactions under test they are immediate,
// as a statement that commits by itself would find them; the outermost BEGIN defers those that are initially deferred,
// and the outermost COMMIT checks them, so that a violation surfaces there. Their triggers run for good.
import type { SessionWire } from '../contract.ts'
import type { Step } from './step.ts'

const initiallyDeferred =
  "select distinct format('%I.%I', n.nspname, c.conname) as name from pg_constraint c " +
  'join pg_namespace n on n.oid = c.connamespace where c.condeferred'

export class DeferredConstraints {
  /** The list may be out of date. */
  stale = true
  readonly #shared: SessionWire
  /** Null: the server has no such catalogue. */
  #names: readonly string[] | null = []

  constructor(shared: SessionWire) {
    this.#shared = shared
  }

  /** Reads which there are and makes all immediate, those to come too. */
  async learn(): Promise<void> {
    if (!this.stale || this.#names === null) return
    this.stale = false
    const list = this.#shared.own(initiallyDeferred)
    const supported = await this.#shared.guarded([list, ...this.check()])
    this.#names = supported ? (list.rows as { name: string }[]).map(({ name }) => name) : null
  }

  deferral(): Step[] {
    const names = this.#names ?? []
    return names.length === 0 ? [] : [this.#shared.own(`SET CONSTRAINTS ${names.join(', ')} DEFERRED`)]
  }

  /** Also of those that a transaction has deferred itself. */
  check(): Step[] {
    return this.#names === null ? [] : [this.#shared.own('SET CONSTRAINTS ALL IMMEDIATE')]
  }
}
