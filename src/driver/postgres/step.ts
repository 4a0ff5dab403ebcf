// One operation of a unit: what is known of its statement, and which answers of the server are due to it, in order. The
// exchange asks for an answer with each message it writes; what is not due may not come.
import type { Failure, Op } from '../driver.ts'
import { UsageError } from '../../errors/index.ts'
import type { Field, RowSpec, Shape } from '../../sql/compiled.ts'
import { checkAll, type Encoded, encodeAll, mostDescribed, needsTypes, unknownTypes } from './encode.ts'
import type { MessageWriter } from './message-writer.ts'
import type { Fields } from './outcome.ts'
import { silentOp } from './reset.ts'
import { decoderFor, type RowDecoder, shapeKey } from './rows/decoder.ts'
import type { Int8 } from './rows/type-table.ts'
import { type TypeBook, typeLookup } from './type-book.ts'

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

/** PGlite ends itself over it. In one pass, however often a text says COPY. */
function copiesIn(text: string): boolean {
  const at = text.search(/\bcopy\b/i)
  return at >= 0 && /\bfrom\s+stdin\b/i.test(text.slice(at))
}

/** A statement that a session has prepared. */
export class Prepared {
  /** On the server. */
  readonly name: string
  /** The engine's name. */
  readonly key: string
  /** What names meant, as name spaces number it, … */
  readonly path: number
  /** … and when, as they count changes of the catalogue. */
  readonly at: number
  /** As described on this very session: another session may see other tables under the same names. */
  shape: Shape | null = null
  /** Looked up since the clock's hand came by. */
  used = true
  /** The decoder of the last run and the specification it was for. */
  spec: RowSpec | null = null
  decoder: RowDecoder | null = null

  constructor(name: string, key: string, path: number, at: number) {
    this.name = name
    this.key = key
    this.path = path
    this.at = at
  }
}

/** What a session remembers of statements. */
interface Memory {
  readonly prepared: { forget(statement: Prepared): void }
  readonly names: { changed(): void }
}

/** One operation and what is known of it during the exchange. */
export class Step {
  readonly op: Op
  /** What names mean to it, and since when that holds. */
  readonly path: number
  readonly since: number
  /** Null: unnamed. */
  entry: Prepared | null = null
  parse = true
  /** The server may be asked for types and columns at once, before the parameters. */
  describable = true
  /** Null until the server has described a statement whose parameters cannot be written without their types. */
  values: Encoded[] | null = null
  asked = false
  /** What the server owes it: phases, four bits each. */
  due = 0
  #asks = 0
  declared: readonly number[] | null = null
  types: readonly number[] | null = null
  decoder: RowDecoder | null = null
  /** How many fields its rows have; -1: it gives none. */
  width = -1
  received = 0
  /** How many statements of a text with several have ended. */
  ended = 0
  failure: Failure | null = null

  constructor(op: Op, path: number, since: number) {
    this.op = op
    this.path = path
    this.since = since
  }

  /** A message was written that is answered so. */
  ask(phase: number): void {
    this.due |= phase << (4 * this.#asks++)
  }

  askParse(writer: MessageWriter): void {
    const name = this.entry?.name ?? ''
    writer.parse(name, this.op.stmt.text, this.declared)
    this.ask(Phase.parsed)
    if (this.describable) this.#askDescription(writer, name)
  }

  /** Before its parameters can be written. */
  askTypes(writer: MessageWriter): void {
    this.asked = true
    if (!this.parse) this.#askDescription(writer, this.entry?.name ?? '')
    writer.flush()
  }

  askRun(writer: MessageWriter, values: readonly Encoded[], int8: Int8): void {
    writer.bind(this.entry?.name ?? '', values)
    this.ask(Phase.bound)
    if (!this.isDescribed(int8)) {
      writer.describePortal()
      this.ask(Phase.described)
    }
    writer.execute(this.op.maxRows)
    this.ask(Phase.running)
  }

  #askDescription(writer: MessageWriter, name: string): void {
    writer.describeStatement(name)
    this.ask(Phase.typed)
    this.ask(Phase.described)
  }

  /** The first answer that was due has come. */
  answered(): void {
    this.due >>>= 4
    this.#asks--
  }

  /** Whether rows may come now. */
  get givesRows(): boolean {
    return this.width >= 0 && (this.due === Phase.running || this.due === Phase.simpleRows)
  }

  /** Writes the parameters down, or checks them when that needs their types. @throws when the statement cannot be sent. */
  encodeEarly(ofUnit: number, book: TypeBook): void {
    const { stmt, params } = this.op
    if (this.parse && stmt.text.includes('\0')) throw new UsageError('The SQL text holds a NUL character.')
    if (stmt.cls === 'multi' && (ofUnit > 1 || params.length > 0)) {
      throw new UsageError('Several statements in one text take no parameters and no company.')
    }
    if ((stmt.verb === 'COPY' || stmt.cls === 'multi') && copiesIn(stmt.text)) {
      throw new UsageError('COPY FROM STDIN is not supported: there is nothing to read from.')
    }
    this.describable = params.length <= mostDescribed && stmt.cls !== 'control'
    const open = this.describable && needsTypes(params)
    const types = this.entry?.shape?.params ?? this.#shared?.params ?? null
    if (open && this.parse) this.declared = types
    if (!open || (types !== null && unknownTypes(params, types, book).length === 0))
      this.values = encodeAll(params, types, book)
    else checkAll(params)
  }

  /** What other sessions have found out, if names mean the same there. */
  get #shared(): Shape | null {
    const { shape } = this.op.stmt
    return shape !== null && shape.path === this.path && shape.at >= this.since ? shape : null
  }

  /** Whether its result needs no description of the portal. */
  isDescribed(int8: Int8): boolean {
    if (this.asked || this.op.stmt.cls === 'control') return true
    return this.parse ? this.describable : this.knowsResult(int8)
  }

  /** Whether no statement of the text is still to come. */
  get allEnded(): boolean {
    return this.due === Phase.simpleMore && this.ended === (this.op.stmt.statements ?? this.ended)
  }

  /** The server has described the result: what is new of it is kept for this session and for all others. */
  describe(fields: readonly Field[], rows: boolean, int8: Int8): void {
    const { stmt } = this.op
    const { path, since: at } = this
    const known = this.entry?.shape ?? this.#shared
    const params = this.types ?? known?.params ?? []
    const shape =
      known !== null && sameShape(known, params, fields, rows)
        ? known
        : { params, fields, rows, key: shapeKey(fields), path, at }
    if (stmt.cls !== 'multi') stmt.shape = shape
    if (this.entry !== null && this.entry.shape !== shape) {
      this.entry.shape = shape
      this.entry.decoder = null
    }
    this.#decodeAs(shape, int8)
  }

  /** The statement was parsed on this session and its result is known; a changed one fails with 0A000. */
  knowsResult(int8: Int8): boolean {
    const shape = this.entry?.shape ?? null
    if (shape === null || !planned.test(this.op.stmt.verb)) return false
    this.#decodeAs(shape, int8)
    return true
  }

  /** The server's refusal says that what was known of it no longer holds: it is described anew when it runs next. */
  isStaleBy(fields: Fields, { prepared, names }: Memory): boolean {
    const { entry, parse, declared, op } = this
    const retyped = isRetyped(fields) && (declared !== null || !parse)
    if (retyped) op.stmt.shape = null
    const stale = entry !== null && !parse && (retyped || isStale(fields))
    // What else was parsed here before is of yesterday too.
    if ((retyped || stale) && fields['code'] !== '26000') names.changed()
    if (entry === null || parse) return retyped
    if (!stale) return false
    prepared.forget(entry)
    return true
  }

  #decodeAs(shape: Shape, int8: Int8): void {
    const { entry, op } = this
    this.width = shape.rows ? shape.fields.length : -1
    if (!shape.rows) return
    if (entry === null || entry.decoder === null || entry.spec !== op.spec) {
      try {
        this.decoder = decoderFor(shape, op.spec, int8)
      } catch (cause) {
        this.failure = { kind: 'decode', outcome: 'unknown', cause }
      }
      if (entry === null) return
      entry.spec = op.spec
      entry.decoder = this.decoder
    } else this.decoder = entry.decoder
  }
}

// Only plans are checked by the server for a changed result; the columns of a FETCH or EXECUTE are asked for every time.
const planned = /^(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)$/

let lookups = 0

/** What looks up the types that the parameters of a statement are for; null when all are known. */
export function lookupFor({ op, types }: Step, book: TypeBook, prefix: string): Step | null {
  const unknown = unknownTypes(op.params, types ?? [], book)
  if (unknown.length === 0) return null
  const lookup = new Step(silentOp(typeLookup, 0, [`{${unknown.join()}}`]), 0, 0)
  // Unnamed it would take the place of the statement that waits for it.
  lookup.entry = new Prepared(`${prefix}genever_types_${++lookups}`, '', 0, 0)
  lookup.encodeEarly(1, book)
  return lookup
}

/** What the end of a command says of itself. */
export function noteTag(op: Op, text: string): void {
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) >= 48 && text.charCodeAt(end - 1) <= 57) end--
  op.count = end === text.length ? -1 : Number(text.slice(end))
  op.tag = end === text.length ? text : text.startsWith('INSERT') ? 'INSERT' : text.slice(0, end - 1)
}

/** Whether the count of its tag is that of its rows. A rule may change what the others count, but not from some to none. */
export function countsRows({ tag, count }: Op): boolean {
  if (tag === 'SELECT' || tag === 'FETCH') return true
  return count > 0 && (tag === 'INSERT' || tag === 'UPDATE' || tag === 'DELETE' || tag === 'MERGE')
}

function sameShape(known: Shape, params: readonly number[], fields: readonly Field[], rows: boolean): boolean {
  const { params: knownParams, fields: knownFields } = known
  if (rows !== known.rows) return false
  if (params.length !== knownParams.length || fields.length !== knownFields.length) return false
  if (params !== knownParams && params.some((type, i) => type !== knownParams[i])) return false
  return fields.every((field, i) => {
    const other = knownFields[i] as Field
    return (
      field.name === other.name &&
      field.type === other.type &&
      field.table === other.table &&
      field.column === other.column
    )
  })
}

/** The server no longer has the statement, or no longer with that result. The messages are translated, the routine is not. */
export function isStale({ code, routine }: Fields): boolean {
  return code === '26000' || (code === '0A000' && routine === 'RevalidateCachedQuery')
}

/**
 * A type has become another since the statement's parameters got theirs, or is gone, its name perhaps another's. For the latter
 * there is no SQLSTATE of its own; errors that users should never see are not translated.
 */
function isRetyped({ code, message = '' }: Fields): boolean {
  if (code === 'XX000') return message.startsWith('cache lookup failed for type ')
  return code === '42804' || code === '42883' || code === '42846' || code === '42704'
}
