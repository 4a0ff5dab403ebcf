// Keys of objects whose lists one more statement asks for. They leave the server as text and come back in JSON; each is compared as the
// column it came from is: a text in its character set and collation, bytes as bytes.
import type { KeyRows } from '../sql/dialect.ts'

const bytes = /^(?:(?:var)?binary(?:\((\d+)\))?|(?:tiny|medium|long)?blob)(?!\w)/i
const texts = /^(?:(?:var)?char(?:\(\d+\))?|(?:tiny|medium|long)?text|enum|set)(?!\w)/i

/** As `ListWords.keyText`. */
export function keyText(column: string, declared: string): string {
  return bytes.test(declared) ? `hex(${column})` : `cast(${column} as char)`
}

/** As `ListWords.keyType`: of a text with its collation, which no declaration has. */
export function keyType(column: string, declared: string): string {
  const [text] = texts.exec(declared) ?? []
  if (text === undefined) return `'${/^serial\b/i.test(declared) ? 'bigint unsigned' : declared}'`
  const type = /^(?:enum|set)$/i.test(text) ? 'varchar(500)' : text
  return `concat('${type} character set ', charset(${column}), ' collate ', collation(${column}))`
}

/** As `ListWords.keys`. A derived table with a group is made once, with a key; a bare JSON_TABLE would be read again for each row. */
export function keyRows(
  types: readonly string[],
  columns: readonly (readonly string[])[],
  place: (value: unknown) => string,
): KeyRows {
  const parts = types.map(partOf)
  const rows = columns[0]?.map((_, row) => columns.map((column) => column[row])) ?? []
  const read = parts.map(({ type }, at) => `j${at} ${type} path '$[${at}]'`).join(', ')
  const table = `json_table(${place(JSON.stringify(rows))}, '$[*]' columns (ord for ordinality, ${read}))`
  const made = parts.map(({ around: [before, after] }, at) => `${before}j${at}${after} as k${at}`).join(', ')
  const group = parts.map((_, at) => `j${at}`).join(', ')
  return {
    from: `(select ord, ${made} from ${table} as j group by ord, ${group}) as o`,
    parts: parts.map((_, at) => `o.k${at}`),
  }
}

interface Part {
  /** How JSON_TABLE reads it. */
  readonly type: string
  /** What makes it what the column holds. */
  readonly around: readonly [before: string, after: string]
}

function partOf(type: string): Part {
  const binary = bytes.exec(type)
  if (binary === null) return { type, around: ['', ''] }
  const [name, length = '1'] = binary
  return { type: /blob$/i.test(name) ? 'longtext' : `varchar(${Number(length) * 2})`, around: ['unhex(', ')'] }
}
