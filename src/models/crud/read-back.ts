// New rows where no INSERT gives them: MySQL, whose server has no RETURNING. Each is written and read again, by its key or the number that
// the database gave it, in one transaction. A row that could not be found for certain is refused before anything is sent.
import type { Executor } from '../../engine/query/executor.ts'
import { NoResultError, UsageError } from '../../errors/index.ts'
import type { RowSpec } from '../../sql/compiled.ts'
import type { ModelColumn } from '../meta/model-column.ts'
import { metaOf, type ModelLike, modelName } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import { uniqueKeys } from '../meta/table.ts'
import { type Decode, ready, type Ready } from '../statement/ready.ts'
import type { CallOptions } from '../types/model.ts'
import type { Change } from '../values/changes.ts'
import type { Cell } from '../values/insert.ts'

/** A row as it is inserted, and what of it changes a row that is there. */
export interface UpsertRow {
  readonly cells: readonly Cell[]
  readonly changes: readonly Change[]
  /**
   * Columns that change to what the row would have stored. One with JSON properties is written by itself, because a new row
   * has their defaults too.
   */
  readonly ofRow: ReadonlySet<ModelColumn>
  /** Its changes have values of this row alone. */
  readonly own: boolean
}

/** A column of a unique key with the parameter that finds its row. `byNumber`: the number that the database gives is its value. */
interface Part {
  readonly column: ModelColumn
  readonly value: unknown
  readonly byNumber: boolean
}

/** The parts that find one row. */
export type Place = readonly Part[]

export interface Written {
  readonly write: Ready<object>
  /** One for each of its rows, in their order: several only where the database numbers none. */
  readonly places: readonly Place[]
}

/** How rows are read. */
export interface Reading {
  readonly spec: RowSpec
  readonly decode: Decode<never> | undefined
  /** They may be older than the transaction, so changes that others have committed meanwhile are read too. */
  readonly latest: boolean
}

/** By the primary key. @throws {UsageError} where only the server will know it. */
export function placeOfNew(model: ModelLike, cells: readonly Cell[], method: string): Place {
  const { primaryKey } = metaOf(model)
  if (primaryKey.length === 0) throw unfound(model, method, 'it has no primary key', 'declare one')
  return primaryKey.map((column) => {
    const given = cells.find((cell) => cell.column === column)
    if (given?.isSql === true) throw unfound(model, method, `${column.key} is set by SQL`, `give ${column.key} a value`)
    const value = given === undefined ? null : column.encode(given.value)
    // MySQL numbers rows with 0 too, unless its mode says otherwise.
    const byNumber = column.isNumbered && (value === null || Number(value) === 0)
    if (given === undefined && !byNumber)
      throw unfound(model, method, `the database fills in ${column.key}`, `give ${column.key} a value`)
    return { column, value: value ?? 0, byNumber }
  })
}

/**
 * By the only unique key that can decide, or else, for a row that must be new, by its number.
 * @throws {UsageError} where several can, or only the server knows.
 */
export function placeOfUpsert(model: ModelLike, { cells, changes, ofRow }: UpsertRow, method: string): Place {
  const deciding: Place[] = []
  for (const names of uniqueKeys(metaOf(model).table)) {
    const place = placeBy(model, names, cells, method)
    if (place !== null) deciding.push(place)
  }
  const [only, other] = deciding
  if (only === undefined) return placeOfNew(model, cells, method)
  const keys = (place: Place): string => place.map(({ column }) => column.key).join(', ')
  if (other !== undefined)
    throw unfound(
      model,
      method,
      `both ${keys(only)} and ${keys(other)} may decide which row it is`,
      'give values for one unique key',
    )
  if (changes.some(({ column }) => !ofRow.has(column) && only.some((part) => part.column === column)))
    throw unfound(model, method, `it may change ${keys(only)}, by which the row is found`, 'leave it as it is')
  return only
}

/** Null: a row with these values meets none by that key. */
function placeBy(model: ModelLike, names: readonly string[], cells: readonly Cell[], method: string): Place | null {
  const meta = metaOf(model)
  const columns = names.map((name) => meta.columns.find((column) => column.name === name))
  const values = columns.map((column) => cells.find((cell) => cell.column === column))
  // NULL equals nothing, and a number that the database gives is new.
  const isNew = columns.some((column, at) => {
    const cell = values[at]
    if (column === undefined || cell?.isSql === true) return false
    const empty =
      cell === undefined ? !column.column.hasDefault && !column.readOnly : column.encode(cell.value) === null
    if (column.isNumbered) return cell === undefined || empty || Number(cell.value) === 0
    return empty && !column.column.notNull
  })
  if (isNew) return null
  return columns.map((column, at) => {
    const cell = values[at]
    if (column === undefined || cell === undefined || cell.isSql)
      throw unfound(
        model,
        method,
        `only the server knows ${column?.key ?? names[at]} of a unique key`,
        `give ${column?.key ?? 'it'} a value`,
      )
    return { column, value: column.encode(cell.value), byNumber: false }
  })
}

function unfound(model: ModelLike, method: string, why: string, advice: string): UsageError {
  return new UsageError(
    `${method} of ${modelName(model)} has to read its row again, because this server of ${metaOf(model).dialect.title} has no RETURNING, and could not find it: ${why}. ` +
      `For this call, ${advice}, or write the row by SQL.`,
  )
}

/** Instances are in the order of the rows. All rows are written, or none. */
export function writeAndRead(
  model: ModelLike,
  executor: Executor,
  rows: readonly Written[],
  reading: Reading,
  { timeoutMs, signal }: CallOptions = {},
): Promise<object[]> {
  if (rows.length === 0) return Promise.resolve([])
  return executor.transaction(
    async (tx) => {
      const together = !reading.latest && readTogether(rows)
      const made: object[] = []
      const places: Place[] = []
      for (const { write, places: of } of rows) {
        const { insertId } = await tx.status(write)
        if (insertId !== undefined && !reading.latest && isElsewhere(of, insertId)) throw lost(model)
        const found = insertId === undefined ? of : of.map((place) => place.map((part) => numbered(part, insertId)))
        if (together) places.push(...found)
        else for (const place of found) made.push(await readOne(model, tx, place, reading))
      }
      return together ? readAll(model, tx, places, reading) : made
    },
    { timeoutMs, signal },
  )
}

function numbered(part: Part, insertId: bigint | number): Part {
  return part.byNumber ? { ...part, value: insertId } : part
}

/** The number that was given for the last row is not the one that it has: a trigger changed it. */
function isElsewhere(places: readonly Place[], insertId: bigint | number): boolean {
  const given = places.at(-1)?.find(({ column, byNumber }) => column.isNumbered && !byNumber)
  if (given === undefined || !/^-?\d+$/.test(String(given.value))) return false
  return BigInt.asUintN(64, BigInt(String(given.value))) !== BigInt.asUintN(64, BigInt(insertId))
}

/** Whole numbers are compared alike here and there. */
function readTogether(rows: readonly Written[]): boolean {
  const [first] = rows
  const [part, second] = first?.places[0] ?? []
  if (part === undefined || second !== undefined || (rows.length === 1 && first?.places.length === 1)) return false
  return !part.column.isCustom && /^(?:(?:tiny|small|medium|big)?int|serial)\b/.test(part.column.column.getSQLType())
}

async function readOne(
  model: ModelLike,
  tx: Executor,
  place: Place,
  { spec, decode, latest }: Reading,
): Promise<object> {
  const meta = metaOf(model)
  const shape = `found${place.map(({ column }) => column.index).join()}${latest ? ' latest' : ''}`
  const text = meta.texts.get(shape, () => {
    const { placeholder } = meta.dialect
    const condition = place.map(({ column }, at) => `${column.quoted} = ${placeholder.text(at)}`).join(' and ')
    return `select ${meta.list()} from ${meta.sqlName} where ${condition}${latest ? ' for update' : ''}`
  })
  const params = place.map(({ value }) => value)
  const found = await tx.first(ready<object>(meta, text, params, spec as never, decode))
  if (found === undefined) throw lost(model)
  return found
}

const mostTogether = 1_000

async function readAll(
  model: ModelLike,
  tx: Executor,
  places: readonly Place[],
  { spec, decode }: Reading,
): Promise<object[]> {
  const meta = metaOf(model)
  const [column] = meta.primaryKey
  const found = new Map<string, object>()
  const keys = places.map((place) => place[0]?.value)
  for (let from = 0; from < keys.length; from += mostTogether) {
    const part = keys.slice(from, from + mostTogether)
    const list = part.map((_, at) => meta.dialect.placeholder.text(at)).join(', ')
    const text = `select ${meta.list()} from ${meta.sqlName} where ${column?.quoted} in (${list})`
    const rows = await tx.all(ready<object>(meta, text, part, spec as never, decode))
    for (const row of rows) found.set(String(Row.keyOf(row)), row)
  }
  return keys.map((key) => {
    const row = found.get(String(key))
    if (row === undefined) throw lost(model)
    return row
  })
}

function lost(model: ModelLike): NoResultError {
  return new NoResultError(
    `The new row of ${modelName(model)} was not found by its key, so it was taken back: a trigger changed the key, or the column stores another value than was given.`,
  )
}
