// Looks up types that no session of the engine has met yet: in front of a statement whose parameters need them, or behind one whose
// rows were kept. All units are settled through here in their order, so none overtakes one that waits for a look-up.
import { ProtocolError } from '../../errors/index.ts'
import { type TypeBook, typeLookup, type TypeRow } from '../../postgres/types/book.ts'
import { nameLookup, untypedNotice } from '../../postgres/types/type-names.ts'
import { unknownTypes } from '../../postgres/encode.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { type Failure, type Op, OpState } from '../driver.ts'
import type { MessageWriter } from './message-writer.ts'
import type { NameResolution } from './name-resolution.ts'
import type { Status } from './outcome.ts'
import { silentOp } from './reset.ts'
import { decoderFor } from './rows/decoder.ts'
import { KeptRows } from './rows/kept-rows.ts'
import { probe } from './prepared/pooler.ts'
import { Prepared } from './prepared/statement.ts'
import { Step } from './step.ts'

const failed =
  'The answer has columns of types that had to be looked up, and the look-up failed. Run the statement again, and in a transaction that has not failed.'

let lookups = 0

const lookupOf = (types: readonly number[]): Op => silentOp(typeLookup, 0, [`{${types.join()}}`])

/** Whether it is closed in its own unit, when it was answered. */
export function isLookup(stmt: Compiled): boolean {
  return stmt === typeLookup || stmt === nameLookup || stmt === probe
}

/** Whether conversions of its values are under names that have to be looked up before it is sent. */
export function asksNames({ spec }: Op, { given }: TypeBook): boolean {
  return spec?.conversions !== undefined && given.asks(spec.conversions).length > 0
}

/** Has those names looked up, in front. */
export function lookUpNames(
  ops: readonly Op[],
  host: Pick<Host, 'types' | 'work'>,
  untyped: (message: string) => void,
): void {
  const { given } = host.types
  for (const { spec } of ops) {
    if (spec?.conversions === undefined) continue
    const { conversions } = spec
    const names = given.asks(conversions)
    if (names.length === 0) continue
    host.work([silentOp(nameLookup, 0, [JSON.stringify(names)])], () => {
      const missing = given.missing(conversions.wished)
      if (missing.length > 0) untyped(untypedNotice(missing))
    })
  }
}

/** Puts a look-up of the types that the parameters of a step are for in front of it, unless that has been tried. False: nothing is to be looked up. */
export function putLookup(
  steps: Step[],
  at: number,
  { types, prefix }: { readonly types: TypeBook; readonly prefix: string },
): boolean {
  const last = steps[at - 1]
  if (last !== undefined && isLookup(last.op.stmt)) return false
  const lookup = lookupFor(steps[at] as Step, types, prefix)
  if (lookup !== null) steps.splice(at, 0, lookup)
  return lookup !== null
}

/** What looks up the types that the parameters of a statement are for; null when all are known. */
function lookupFor(step: Step, book: TypeBook, prefix: string): Step | null {
  const unknown = unknownTypes(step.op.params, step.types ?? [], step.writing(book))
  if (unknown.length === 0) return null
  const lookup = new Step(lookupOf(unknown), { id: 0, since: 0, apart: true })
  // Unnamed it would take the place of the statement that waits for it.
  lookup.entry = new Prepared(`${prefix}genever_types_${++lookups}`, '', 0, 0)
  lookup.encodeEarly(1, { types: book, carrier: null })
  return lookup
}

/** Whether it was a look-up, which is answered: what it found is known, and its statement is closed. */
export function tookTypes(
  { op, entry }: Step,
  { types, writer }: { readonly types: TypeBook; readonly writer: MessageWriter },
): boolean {
  if (!isLookup(op.stmt)) return false
  if (op.stmt === typeLookup) {
    const asked = String(op.params[0]).slice(1, -1).split(',').map(Number)
    types.learn(op.rows as TypeRow[], asked)
  }
  if (op.stmt === nameLookup)
    types.given.learn(
      JSON.parse(String(op.params[0])) as string[],
      (op.rows as { readonly name: string }[]).map(({ name }) => name),
    )
  writer.closeStatement(entry?.name ?? '')
  return true
}

/** What a session gives it. */
interface Host {
  readonly types: TypeBook
  readonly names: NameResolution
  readonly quarantined: boolean
  /** Why the session has ended; null: it has not. */
  readonly lostBy: Failure | null
  work(ops: readonly Op[], settled: (well: boolean) => void): void
  tellFree(): void
}

/** A unit whose answer has come. */
interface Answer {
  readonly internal: boolean
  readonly steps: readonly Step[]
  settle(status: Status): void
}

/** Units that were answered and are not settled yet. */
export class Unsettled {
  readonly #host: Host
  #waiting: (readonly [Answer, Status])[] = []

  constructor(host: Host) {
    this.#host = host
  }

  /** Settles it, or has its types looked up first. False: it is settled later. */
  settle(exchange: Answer, status: Status): boolean {
    const { types, names } = this.#host
    types.asOf(names.since)
    if (this.#waiting.length > 0 && !exchange.internal) {
      this.#waiting.push([exchange, status])
      return false
    }
    const lacks = lackingOf(exchange)
    if (lacks === null) {
      exchange.settle(status)
      return true
    }
    this.#waiting.push([exchange, status])
    this.#ask(lacks)
    return false
  }

  #ask(lacks: readonly number[]): void {
    this.#host.work([lookupOf(lacks)], (well) => this.#answered(well))
  }

  /** @param well What was asked for is known, unless another session has heard since that the catalogue was changed. */
  #answered(well: boolean): void {
    const { types } = this.#host
    for (let known = well; this.#waiting.length > 0; known = true) {
      const [exchange, status] = this.#waiting[0] as readonly [Answer, Status]
      const lacks = known ? lackingOf(exchange) : null
      if (lacks !== null && types.unknown(lacks).length > 0) return this.#ask(lacks)
      this.#waiting.shift()
      for (const step of exchange.steps) readKept(step, types, this.#host.lostBy)
      exchange.settle(status)
    }
    if (!this.#host.quarantined) this.#host.tellFree()
  }
}

/** The types without which its rows cannot be read; null: there are none. */
function lackingOf({ steps }: Answer): readonly number[] | null {
  let lacks: number[] | null = null
  for (let i = 0; i < steps.length; i++) {
    const { decoder, ended, keeps, op } = steps[i] as Step
    if (keeps && decoder instanceof KeptRows && decoder.any) lacks = [...(lacks ?? []), ...decoder.types]
    if (ended > 0 && op.results)
      for (const { columns } of op.results)
        if (columns instanceof KeptRows && columns.any) lacks = [...(lacks ?? []), ...columns.types]
  }
  return lacks
}

/** Reads the rows that were kept, also those of the statements before the last one of a text. */
function readKept(step: Step, types: TypeBook, lostBy: Failure | null): void {
  const { decoder, op, failure } = step
  if (failure !== null || op.state === OpState.abandoned) return
  try {
    if (op.results) for (const { columns, rows } of op.results) readRows(columns, rows, op, types)
    readRows(decoder, op.rows, op, types)
  } catch (cause) {
    op.rows.length = 0
    const kept = [decoder, ...(op.results ?? []).map(({ columns }) => columns)]
    const column = kept
      .map((each) => (each instanceof KeptRows ? each.unread : undefined))
      .find((name) => name !== undefined)
    const unread: Failure = { kind: 'decode', outcome: 'unknown', cause, column }
    step.failure = lostBy === null ? unread : { ...lostBy, outcome: 'unknown' }
  }
}

function readRows(kept: object | null, rows: unknown[], { spec }: Op, types: TypeBook): void {
  if (!(kept instanceof KeptRows) || !kept.any) return
  const decoder = decoderFor(kept.shape, spec, types, false)
  if (decoder instanceof KeptRows) throw new ProtocolError(failed)
  kept.readBy(decoder, rows)
}
