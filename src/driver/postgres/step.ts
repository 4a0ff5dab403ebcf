// One operation of a unit: its statement, and the answers that the server still has to give, in order. The exchange asks for an answer
// with each message it writes. An answer that is not due is an error.
import type { CopyPort, Failure, Op, Portal } from '../driver.ts'
import { UsageError } from '../../errors/index.ts'
import type { Compiled, Field, RowSpec, Shape } from '../../sql/compiled.ts'
import * as encoding from '../../postgres/encode.ts'
import { explain } from '../../postgres/sqlstate.ts'
import type { MessageWriter } from './message-writer.ts'
import { copiesIn, copyRefusal } from './op-rules.ts'
import type { NameResolution } from './name-resolution.ts'
import type { Fields } from './outcome.ts'
import { Guess, Guesses, isPlanned, sameShape } from './prepared/first-run.ts'
import type { Prepared } from './prepared/statement.ts'
import { isStale, isUnkept, isUnparsed } from './prepared/stale.ts'
import { decoderFor, mayBeBinary, shapeKey } from './rows/decoder.ts'
import type { RowDecoder } from './rows/row-decoder.ts'
import { KeptRows, PortalColumns } from './rows/kept-rows.ts'
import type { TypeBook } from '../../postgres/types/book.ts'
import { checkedWriting, writingBy } from '../../postgres/types/converter.ts'

/** What comes next. Four bits each, the first in the lowest: a step knows all that is due to it as one number. */
export const Phase = {
  /** ParseComplete */
  parsed: 1,
  /** ParameterDescription */
  typed: 2,
  /** RowDescription or NoData */
  described: 3,
  /** BindComplete */
  bound: 4,
  /** rows if there are any, then the end of the command; or a COPY */
  running: 5,
  /** several statements in one text: the first, … */
  simple: 6,
  /** … its rows and its end, … */
  simpleRows: 7,
  /** … another, or ReadyForQuery */
  simpleMore: 8,
  /** an error: the COPY was refused */
  copyIn: 9,
  /** CopyData, then CopyDone */
  copyOut: 10,
  /** the end of the command */
  copied: 11,
} as const

/** Whether a statement runs, so that its end or a COPY may come. */
export function runs(due: number): boolean {
  return due >= Phase.running && due <= Phase.simpleMore
}

/** How a session has values. */
interface Conversions {
  readonly types: TypeBook
  readonly binary: boolean
}

/** What the parameters of a statement are written down by. */
interface Encoding {
  readonly types: TypeBook
  readonly carrier: unknown
}

/** What a session remembers of statements. */
interface Memory {
  readonly prepared: {
    forget(statement: Prepared): void
    renew(statement: Prepared, stmt: Compiled, surely: boolean): void
    unkept(): true
  }
  readonly names: { noticed(): void }
}

/** One operation and what is known of it during the exchange. */
export class Step {
  readonly op: Op
  /** What the operation is. Operations are objects of several classes: they are looked at once. */
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number
  readonly portal: Portal | null
  readonly copy: CopyPort | null
  /** What names mean to it, and since when that holds. */
  readonly path: number
  readonly since: number
  readonly #apart: boolean
  /** What it does to that, as `Names` bits. */
  names = 0
  /** Null: unnamed. */
  entry: Prepared | null = null
  parse = true
  /** The server may be asked for types and columns at once, before the parameters. */
  readonly describable: boolean
  /** Null until the server has described a statement whose parameters cannot be written without their types. */
  values: encoding.Encoded[] | null = null
  asked = false
  /** What the server owes it: phases, four bits each. */
  due = 0
  #asks = 0
  declared: readonly number[] | null = null
  types: readonly number[] | null = null
  decoder: RowDecoder | null = null
  /** That only keeps rows, until the types of their columns are known. */
  keeps = false
  /** How many fields its rows have; -1: it gives none. */
  width = -1
  /** Rows, and how much of them. */
  received = 0
  bytes = 0
  /** How many statements of a text with several have ended. */
  ended = 0
  failure: Failure | null = null
  /** Its rows are asked for in binary, as its decoder says: their columns are known, and cannot have changed. */
  #binary = false
  /** Its portal is open: nothing is parsed or bound. */
  #goesOn = false
  /** One of `Guesses`. */
  guesses: number = Guesses.none
  #guess: Guess | null = null
  /** Its rows came in formats in which they are not read. */
  misread = false

  constructor(op: Op, { id, since, apart }: Pick<NameResolution, 'id' | 'since' | 'apart'>) {
    this.op = op
    this.stmt = op.stmt
    this.params = op.params
    this.spec = op.spec
    this.maxRows = op.maxRows
    this.portal = op.portal ?? null
    this.copy = op.copy ?? null
    this.describable = op.params.length <= encoding.mostDescribed && op.stmt.cls !== 'control'
    this.path = id
    this.since = since
    this.#apart = apart
  }

  /** A message was written that is answered so. */
  ask(phase: number): void {
    this.due |= phase << (4 * this.#asks++)
  }

  askParse(writer: MessageWriter): void {
    const name = this.entry?.name ?? ''
    writer.parse(name, this.entry?.pooled?.text ?? this.stmt.text, this.declared)
    this.ask(Phase.parsed)
    if (this.describable) this.#askDescription(writer, name)
  }

  /** Before its parameters can be written. */
  askTypes(writer: MessageWriter): void {
    this.asked = true
    if (!this.parse) this.#askDescription(writer, this.entry?.name ?? '')
    writer.flush()
  }

  askRun(writer: MessageWriter, values: readonly encoding.Encoded[], as: Conversions): void {
    const { portal, maxRows } = this
    const name = portal?.name ?? ''
    if (this.#goesOn) this.#readAs(portal?.columns as PortalColumns, as.types)
    else {
      const described = this.isDescribed(as)
      if (!this.asked && (this.parse || !described)) this.#guessed(as)
      writer.bind(name, this.entry?.name ?? '', values, this.#guess === null ? this.#formats() : this.#guess.formats)
      this.ask(Phase.bound)
      if (!described) {
        writer.describePortal()
        this.ask(Phase.described)
      } else if (portal && !this.asked) portal.columns = new PortalColumns(this.#known() as Shape, this.decoder)
    }
    writer.execute(name, maxRows)
    this.ask(Phase.running)
  }

  /** Nobody has described its result here: others may have elsewhere. */
  #guessed(as: Conversions): void {
    const { portal, stmt, spec } = this
    if (!mayBeBinary(this, as) || portal) return
    this.#guess = Guess.of(stmt, this.guesses, this.entry?.shape ?? this.#shared(), spec, as.types)
  }

  /** Types must be known before it is bound: of its parameters, or of the columns of a portal, which may come in binary. */
  get needsTypes(): boolean {
    return this.values === null || (!!this.portal && !(this.asked || this.#goesOn || this.#known() !== null))
  }

  /** Its result, where it was parsed and described on this session. */
  #known(): Shape | null {
    return !this.parse && this.entry?.pooled === null && isPlanned(this.stmt) ? this.entry.shape : null
  }

  #askDescription(writer: MessageWriter, name: string): void {
    writer.describeStatement(name)
    this.ask(Phase.typed)
    this.ask(Phase.described)
  }

  over(): void {
    this.due = 0
    if (this.portal) this.portal.bytes += this.bytes
  }

  /** The first answer that was due has come. */
  answered(): void {
    this.due >>>= 4
    this.#asks--
  }

  /** Whether what the server says now is about what it does: it was parsed and bound. */
  get running(): boolean {
    return (this.due & 15) === Phase.running
  }

  /** Whether rows may come now. */
  get givesRows(): boolean {
    return this.width >= 0 && (this.due === Phase.running || this.due === Phase.simpleRows)
  }

  /** As `encodeEarly`. False: it cannot be sent, or not without asking for types. */
  encodes(by: Encoding): boolean {
    try {
      this.encodeEarly(2, by)
    } catch {
      return false
    }
    return this.values !== null
  }

  /** Writes the parameters down, or checks them when that needs their types. @throws when the statement cannot be sent. */
  encodeEarly(ofUnit: number, { types: book, carrier }: Encoding): void {
    const { stmt, params } = this
    this.#goesOn = this.portal?.columns instanceof PortalColumns
    if (this.#goesOn) {
      this.parse = false
      this.values = []
      return
    }
    if (this.parse && stmt.text.includes('\0')) throw new UsageError('The SQL text holds a NUL character.')
    if (stmt.cls === 'multi' && (ofUnit > 1 || params.length > 0))
      throw new UsageError(
        'A text with several statements cannot have parameters, and cannot be sent together with other statements.',
      )
    const copies = this.copy ? carrier === null : (stmt.verb === 'COPY' || stmt.cls === 'multi') && copiesIn(stmt.text)
    if (copies) throw new UsageError(copyRefusal(carrier, 'in'))
    const writing = checkedWriting(book, this.spec?.conversions)
    if (!this.entry?.pooled && (this.values = encoding.encodePlain(params)) !== null) return
    const open = this.describable && encoding.needsTypes(params, writing.converter)
    const types = this.knownTypes
    if (this.entry?.pooled) this.declared = types
    else if (open && this.parse && types !== null) this.declared = encoding.declaredTypes(params, types, writing)
    if (!open || (types !== null && encoding.unknownTypes(params, types, writing).length === 0))
      this.values = encoding.encodeAll(params, types, writing)
    else encoding.checkAll(params, writing.converter)
  }

  /**
   * The types of its parameters, if they are known. Behind a pooler a statement may be parsed again at any time in another session: what
   * was declared with it holds there too, and what the server found by itself may not.
   */
  get knownTypes(): readonly number[] | null {
    const pooled = this.entry?.pooled ?? null
    return pooled === null ? (this.entry?.shape?.params ?? this.sharedTypes) : pooled.declared
  }

  /** Whether its parameters cannot be written without their types. */
  isOpen(book: TypeBook): boolean {
    return this.describable && encoding.needsTypes(this.params, this.writing(book).converter)
  }

  /** Those that other sessions have found out. */
  get sharedTypes(): readonly number[] | null {
    return this.#shared()?.params ?? null
  }

  /** How its parameters are written. */
  writing(book: TypeBook): encoding.Writing {
    return writingBy(book, this.spec?.conversions)
  }

  /** What other sessions have found out, if names mean the same there. */
  #shared(): Shape | null {
    const { shape } = this.stmt
    return !this.#apart && shape !== null && shape.path === this.path && shape.at >= this.since ? shape : null
  }

  /** Whether its result needs no description of the portal. */
  isDescribed(as: Conversions): boolean {
    if (this.asked || this.stmt.cls === 'control') return true
    return this.parse ? this.describable : this.knowsResult(as)
  }

  /** Whether no statement of the text is still to come. */
  get allEnded(): boolean {
    return this.due === Phase.simpleMore && this.ended === (this.stmt.statements ?? this.ended)
  }

  /**
   * The server has described the result: what is new of it is kept for this session and for all others. True: it is not what the server
   * said before, for the same names.
   */
  describe(fields: readonly Field[], rows: boolean, as: Conversions): boolean {
    const { stmt, portal, path, since: at } = this
    const known = this.entry?.shape ?? this.#shared()
    const params = this.types ?? known?.params ?? []
    const same = known !== null && sameShape(known, { params, fields, rows })
    const shape = same ? known : { params, fields, rows, key: shapeKey(fields), path, at }
    if (stmt.cls !== 'multi' && !this.#apart) stmt.shape = shape
    this.entry?.describedAs(shape)
    if (portal) this.#binary = mayBeBinary(this, as)
    this.#decodeAs(shape, as, this.#binary || this.#guess !== null)
    if (portal) portal.columns = new PortalColumns(shape, this.decoder)
    return known !== null && !same && !this.#apart && isPlanned(stmt)
  }

  #readAs(columns: PortalColumns, types: TypeBook): void {
    const { shape } = columns
    this.op.shape = shape
    this.width = shape.rows ? shape.fields.length : -1
    // It was bound for text: nobody knew the types of its columns.
    if (columns.decoder instanceof KeptRows) columns.decoder = decoderFor(shape, this.spec, types, false)
    this.decoder = columns.decoder
    this.keeps = this.decoder instanceof KeptRows
  }

  /**
   * The statement was parsed on this session and its result is known; a changed one fails with 0A000. Behind a pooler it may have been
   * parsed again since in the session that answers, where another result is no error.
   */
  knowsResult(as: Conversions): boolean {
    const shape = this.#known()
    if (shape === null) return false
    this.#decodeAs(shape, as, (this.#binary = mayBeBinary(this, as)))
    return true
  }

  /** The server's refusal says that what was known of it no longer holds: it is described anew when it runs next. */
  isStaleBy(fields: Fields, { prepared, names }: Memory): boolean {
    const { entry, parse, declared, stmt } = this
    const said = explain(fields)
    const binding = (this.due & 15) === Phase.bound
    if (this.#guess?.isRefused(said, binding) === true) return true
    const pooled = entry !== null && entry.pooled !== null
    if (pooled && isUnkept(said, entry, this)) return prepared.unkept()
    const old = declared !== null || !parse
    const retyped = old && said.prepared === 'types'
    // A value was not read as the type of its parameter. That may be of a column that has another one by now.
    const doubted = retyped || (old && binding && said.about === 'value')
    if (doubted) stmt.shape = null
    if (pooled && isUnparsed(said, this)) {
      // Others in flight that use it will find it missing.
      entry.parsed = false
      prepared.forget(entry)
    }
    const told = entry !== null && (!parse || pooled) && isStale(said)
    const stale = told || (entry !== null && !parse && doubted)
    const missing = said.prepared === 'missing'
    // What else was parsed here before is of yesterday too.
    if (retyped || (told && !missing)) names.noticed()
    // It was parsed with those types.
    if (doubted && entry?.parsed === true && !pooled) prepared.forget(entry)
    if (entry === null || (parse && !stale)) return doubted
    if (!stale) return false
    prepared.forget(entry)
    if (pooled && !missing) prepared.renew(entry, stmt, told)
    return true
  }

  #decodeAs(shape: Shape, as: Conversions, binary: boolean): void {
    const { entry, spec } = this
    const usual = mayBeBinary(this, as)
    this.op.shape = shape
    this.width = shape.rows ? shape.fields.length : -1
    if (!shape.rows) return
    const guess = this.#guess
    // Another run may have left one since it was bound, for formats other than it has asked for.
    const kept = guess === null && binary === usual ? entry?.decoderOf(spec, as.types.edition, binary) : null
    if (kept) {
      this.decoder = kept
      return
    }
    try {
      this.decoder = guess?.decoder(shape, spec, as.types) ?? decoderFor(shape, spec, as.types, binary)
    } catch (cause) {
      this.failure = { kind: 'decode', outcome: 'unknown', cause }
      this.misread = guess !== null
    }
    this.keeps = this.decoder instanceof KeptRows
    if (entry === null || binary !== usual || guess?.wrong === true || this.keeps) return
    entry.keep(this.decoder, spec, as.types.edition, binary)
  }

  /** In which formats its rows are asked for. */
  #formats(): readonly number[] | undefined {
    return this.#binary ? this.decoder?.formats : this.spec?.formats
  }
}
