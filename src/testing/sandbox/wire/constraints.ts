// Deferred constraints in a transaction that never commits. Outside of the transactions under test they are immediate,
// as a statement that commits by itself would find them; the outermost BEGIN defers those that are initially deferred,
// and the outermost COMMIT checks them, so that a violation surfaces there. Their triggers run for good.
import type { SessionWire } from '../contract.ts'
import type { Script, Step } from './step.ts'

const guard = 'genever_sandbox_constraints'
const initiallyDeferred =
  "select distinct format('%I.%I', n.nspname, c.conname) as name from pg_constraint c " +
  'join pg_namespace n on n.oid = c.connamespace where c.condeferred'

export class DeferredConstraints {
  /** The list may be out of date. */
  stale = true
  /** Something set constraints where nothing is to be deferred. */
  touched = false
  readonly #shared: SessionWire
  #names: readonly string[] = []
  #supported: boolean

  constructor(shared: SessionWire, supported: boolean) {
    this.#shared = shared
    this.#supported = supported
  }

  /** Reads which there are and makes them immediate; on a server that has no such catalogue there are none. */
  *learn(): Script {
    if (!this.#supported) return
    const shared = this.#shared
    const list = shared.own(initiallyDeferred)
    this.#supported = yield* shared.guarded(guard, [list])
    this.stale = false
    if (!this.#supported) return
    this.#names = (list.rows as { name: string }[]).map(({ name }) => name)
    if (this.#names.length > 0 || this.touched) yield* shared.guarded(guard, [this.#checkAll()])
    this.touched = false
  }

  /** Goes behind the outermost BEGIN. */
  deferral(): Step[] {
    return this.#names.length === 0 ? [] : [this.#shared.own(`SET CONSTRAINTS ${this.#names.join(', ')} DEFERRED`)]
  }

  /** Goes before the outermost COMMIT; `touched`: the transaction has set constraints itself. */
  check(touched: boolean): Step[] {
    return this.#supported && (touched || this.#names.length > 0) ? [this.#checkAll()] : []
  }

  #checkAll(): Step {
    return this.#shared.own('SET CONSTRAINTS ALL IMMEDIATE')
  }
}
