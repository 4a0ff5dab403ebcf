// Values in the forms in which node-postgres, PGlite and mysql2 give them to Drizzle, which decodes them further: dates, intervals,
// numeric arrays and 8-byte integers stay text. Used by the client and the adapter. The tables are separate from those of the engine,
// because Drizzle's columns expect just these forms whatever the options say, and because `pg` need not be installed.
import { ProtocolError } from '../../errors/index.ts'
import { readArray, readBytea } from '../../postgres/text-forms.ts'
import type { RowSpec } from '../../sql/compiled.ts'

type Reader = (text: string) => unknown

const asText: Reader = (text) => text

const readPoint: Reader = (text) => {
  const [x, y] = text.slice(1, -1).split(',').map(Number)
  return { x, y }
}

const readCircle: Reader = (text) => {
  const [x, y, radius] = text
    .replaceAll(/[<>()]/g, '')
    .split(',')
    .map(Number)
  return { x, y, radius }
}

const scalars: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [16, (text) => text === 't'],
  [17, readBytea],
  [21, Number],
  [23, Number],
  [26, Number],
  [114, JSON.parse],
  [600, readPoint],
  [700, Number],
  [701, Number],
  [718, readCircle],
  [3802, JSON.parse],
])

/** Arrays that node-postgres reads, by the type of their elements; all others stay text, which Drizzle reads itself. */
const arrays: ReadonlyMap<number, Reader> = new Map(
  Object.entries({
    199: 114,
    651: 0,
    791: 0,
    1000: 16,
    1001: 17,
    1005: 21,
    1007: 23,
    1008: 0,
    1009: 0,
    1014: 0,
    1015: 0,
    1016: 0,
    1017: 600,
    1021: 700,
    1022: 701,
    1028: 26,
    1040: 0,
    1041: 0,
    1183: 0,
    1270: 0,
    2951: 0,
    3807: 3802,
    3907: 0,
  }).map(([type, element]) => {
    const read = scalars.get(element) ?? asText
    return [Number(type), (text: string) => readArray(text, read, ',') ?? unreadable()] as const
  }),
)

function readerOf(type: number): Reader | null {
  return scalars.get(type) ?? arrays.get(type) ?? null
}

/** PGlite leaves geometry to Drizzle. */
const geometry: ReadonlySet<number> = new Set([600, 718, 1017])

function pgliteReaderOf(type: number): Reader | null {
  return geometry.has(type) ? null : readerOf(type)
}

/** `arrays` for builders, `objects` for text. */
export interface Rows {
  readonly arrays: RowSpec<unknown[]>
  readonly objects: RowSpec<Record<string, unknown>>
}

const rowsBy = (read: (type: number) => Reader | null): Rows => ({
  arrays: { into: 'array', make: null, columns: null, read },
  objects: { into: 'object', make: null, columns: null, read },
})

/** What Drizzle's entry for node-postgres expects, and the proxy. */
export const nodePgRows: Rows = rowsBy(readerOf)

/** What Drizzle's entry for PGlite expects. */
export const pgliteRows: Rows = rowsBy(pgliteReaderOf)

const exactInteger: Reader = (text) => {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : text
}

/** By the numbers of the wire: BIGINT as a number, as text where no number holds it; times as text; TINYINT(1) is no boolean so far. */
const mysqlReaders: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [1, Number],
  [7, asText],
  [8, exactInteger],
  [12, asText],
])

/** What Drizzle's entry for mysql2 expects. */
export const mysqlRows: Rows = rowsBy((type) => mysqlReaders.get(type) ?? null)

function unreadable(): never {
  throw new ProtocolError('The server sent a value that is no array')
}
