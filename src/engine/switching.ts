// Switches the settings of a connection to those of a statement. The differences go in front of the statement, in its unit, so it does
// not run if one of them fails. The connection remembers the settings in force (`InForce`).
import type { Failure, Op, Proof, RawConnection } from '../driver/driver.ts'
import { type Compiled, Dirty } from '../sql/compiled.ts'
import { type Change, InForce, type Settings } from '../sql/settings.ts'
import type { ResolvedOptions } from '../options/options.ts'
import type { StatementCache } from '../sql/compile.ts'
import type { Dialect } from '../sql/dialect.ts'
import { UsageError } from '../errors/index.ts'
import { InternalOp } from './internal-op.ts'

/** An engine, as far as it is needed here. */
interface Words {
  readonly dialect: Dialect
  readonly statements: StatementCache
  readonly options: Pick<ResolvedOptions, 'pooler'>
}

/** The bits for which a session is reset that must not keep them. */
const reset = Dirty.framed | Dirty.settings | Dirty.role

const isPlain =
  ({ dialect }: Words) =>
  ([name]: Change): boolean =>
    dialect.settings.kind(name) === 'plain'

/** Whether the settings have to be in force before the transaction of the statement begins. */
export function mustBegin(engine: Words, raw: RawConnection, wanted: Settings | null): boolean {
  const { settings } = engine.dialect
  return raw.inForce.changes(wanted, settings.guards).some(([name]) => settings.kind(name) === 'beginning')
}

/** The statement behind a switch, which hears why it does not run. */
interface Main {
  prefixFailure: Failure | null
}

/** The proof that goes in front of the first statement that leaves something in a session: a pooler may not lend that session on. */
export function proofOps({ statements }: Pick<Words, 'statements'>, raw: RawConnection, main: Main | null): Op[] {
  const { proof } = raw
  return proof ? proof.texts.map((text) => new ProofOp(statements.compileInternal(text), raw, proof, main)) : []
}

class ProofOp extends InternalOp {
  readonly #raw: RawConnection
  readonly #proof: Proof
  readonly #main: Main | null

  constructor(stmt: Compiled, raw: RawConnection, proof: Proof, main: Main | null) {
    super(stmt, proof.params)
    this.#raw = raw
    this.#proof = proof
    this.#main = main
  }

  protected over(failure: Failure | null): void {
    if (failure === null) {
      if (this.stmt.text === this.#proof.texts[1]) this.#raw.proof = null
      return
    }
    if (failure.kind === 'skipped') return
    const refuted = this.#refuted(failure)
    if (this.#main !== null) this.#main.prefixFailure ??= refuted ? unsaid() : { ...failure, outcome: 'not_started' }
    // What stood behind it may have gone to another session, where the failure of this one stops nothing.
    if (refuted) this.#raw.destroy({ kind: 'closed', outcome: 'not_started' })
  }

  #refuted({ kind, fields }: Failure): boolean {
    return kind === 'server' && fields?.code === this.#proof.refuted
  }
}

function unsaid(): Failure {
  const cause = new UsageError(
    'A pooler is in between: another session of the server answers than the one that was announced. This statement needs a session ' +
      "that stays. Set the option pooler: 'transaction' (in a URL: pgbouncer=true) if the pooler lends sessions for one transaction, " +
      "or pooler: 'session' if it lends one for as long as the connection is open. A pooler must not spread reads over several servers " +
      '(pgpool-II: load_balance_mode = off).',
  )
  return { kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause }
}

/** Of transactions behind a pooler, whose sessions keep nothing. */
const bare = new InForce()

/**
 * The operations that put `wanted` in force, to be sent in front of `main`; null: nothing has to be sent. Behind a pooler it holds for the
 * transaction alone: for that of `main` (`alone`), or for one that is open.
 */
export function switchOps(
  engine: Words,
  raw: RawConnection,
  wanted: Settings | null,
  main: Main | null,
  alone: boolean,
): Op[] | null {
  const { statements, options } = engine
  const words = engine.dialect.settings
  const pooled = options.pooler !== undefined
  const known = pooled && alone ? null : raw.inForce
  const changes = (known ?? bare).changes(wanted, words.guards)
  if (changes.length === 0) {
    known?.became(wanted, false)
    return null
  }
  known?.sent(changes)
  if (!pooled) raw.dirty |= raw.inForce.mayStay && changes.every(isPlain(engine)) ? Dirty.framed : reset
  const until = pooled ? 'transaction' : 'session'
  const ops: Op[] = pooled ? [] : proofOps(engine, raw, main)
  for (let at = 0; at < changes.length;) {
    const [name, value] = changes[at] as Change
    const end = value === null ? at + 1 : endOfValues(changes, at, words.alone)
    const { sql, params } =
      value === null
        ? { sql: words.takeBack(name, until), params: [] }
        : words.set(Object.fromEntries(changes.slice(at, end)) as Settings, until)
    at = end
    ops.push(
      new SwitchOp(statements.compileFramed(sql), params, raw, known, at < changes.length ? undefined : wanted, main),
    )
  }
  return ops
}

function endOfValues(changes: readonly Change[], from: number, alone: ReadonlySet<string>): number {
  if (alone.has((changes[from] as Change)[0])) return from + 1
  let end = from
  // A name may stand twice: taken back to what the session has set, and set again at the end.
  const names = new Set<string>()
  for (; end < changes.length; end++) {
    const [name, value] = changes[end] as Change
    if (value === null || names.has(name) || alone.has(name)) break
    names.add(name)
  }
  return end
}

/** One statement of a switch; the last knows what is in force behind it. */
class SwitchOp extends InternalOp {
  readonly #raw: RawConnection
  readonly #known: InForce | null
  readonly #wanted: Settings | null | undefined
  readonly #main: Main | null

  constructor(
    stmt: Compiled,
    params: readonly unknown[],
    raw: RawConnection,
    known: InForce | null,
    wanted: Settings | null | undefined,
    main: Main | null,
  ) {
    super(stmt, params)
    this.#raw = raw
    this.#known = known
    this.#wanted = wanted
    this.#main = main
  }

  protected over(failure: Failure | null): void {
    const [known, raw, main] = [this.#known, this.#raw, this.#main]
    if (failure === null) {
      if (known === null) return
      if (this.#wanted === undefined) known.lose()
      else known.became(this.#wanted, raw.status === 'idle')
      if (!known.any) raw.dirty &= ~Dirty.framed
    } else if (failure.kind !== 'skipped') {
      // What was skipped was not done, or was rolled back with what had failed.
      if (failure.outcome !== 'not_started' && known !== null) {
        known.lose()
        raw.dirty |= reset
      }
      if (main !== null) main.prefixFailure ??= { ...failure, outcome: 'not_started' }
    }
  }
}
