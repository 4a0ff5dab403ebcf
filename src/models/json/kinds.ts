// The kinds of JSON properties: how each is kept in JSON, and what it is in SQL. Tables of functions; they know no model.
import { type Column, sql, type SQL } from 'drizzle-orm'
import type { MemberType } from '../../sql/model-words.ts'

export interface JsonKind {
  /** Completes "takes …". */
  readonly expected: string
  /** Reads a stored value, which is never null. */
  readonly read: (stored: unknown) => unknown
  /** The stored form of a value; undefined when the value is not of this kind. */
  readonly write: (value: unknown) => unknown
  /** Its type in SQL, and how such values are read. */
  readonly type: MemberType
  readonly decode?: (wire: never) => unknown
  /** The member `key` of a column; `key` is a literal. With a fallback it is that where it is missing or null. */
  readonly sql: (column: Column, key: SQL, fallback?: Fallback) => SQL
  /** The SQL around an expression that is stored. */
  readonly stored: readonly [before: string, after: string]
  /** Members of its objects are merged one by one. */
  readonly merges?: true
}

/** A default as it is stored, as SQL of a type in PostgreSQL. */
export type Fallback = (type: string) => SQL

export type KindName = 'string' | 'integer' | 'number' | 'boolean' | 'dateTime' | 'object' | 'array'

const same = (value: unknown): unknown => value

function member(type: string, decode?: (wire: never) => unknown): JsonKind['sql'] {
  const cast = type === 'text' ? sql`` : sql.raw(`::${type}`)
  return (column, key, fallback) => {
    const stored = sql`(${column} ->> ${key})${cast}`
    const expression = fallback === undefined ? stored : sql`coalesce(${stored}, ${fallback(type)})`
    return decode === undefined ? expression : expression.mapWith(decode as (wire: unknown) => unknown)
  }
}

/** JSON has a null of its own. */
const inner: JsonKind['sql'] = (column, key, fallback) => {
  const stored = sql`(${column} -> ${key})`
  if (fallback === undefined) return stored
  const type = column.columnType === 'PgJson' ? 'json' : 'jsonb'
  return sql`(case when ${sql.raw(type)}_typeof(${stored}) <> 'null' then ${stored} else ${fallback(type)} end)`
}

const parsed = (wire: unknown): unknown => (typeof wire === 'string' ? (JSON.parse(wire) as unknown) : wire)

export const kinds: Readonly<Record<KindName, JsonKind>> = {
  string: {
    type: 'text',
    expected: 'a string',
    read: same,
    write: (value) => (typeof value === 'string' ? value : undefined),
    sql: member('text'),
    stored: ['', '::text'],
  },
  integer: {
    type: 'bigint',
    decode: Number,
    expected: 'an integer',
    read: same,
    write: (value) => (Number.isSafeInteger(value) ? value : undefined),
    sql: member('bigint', Number),
    stored: ['', '::bigint'],
  },
  number: {
    type: 'double precision',
    decode: Number,
    expected: 'a finite number',
    read: same,
    write: (value) => (Number.isFinite(value) ? value : undefined),
    sql: member('double precision', Number),
    stored: ['', '::double precision'],
  },
  boolean: {
    type: 'boolean',
    decode: (wire: unknown) => (wire === null ? null : Number(wire) === 1),
    expected: 'a boolean',
    read: same,
    write: (value) => (typeof value === 'boolean' ? value : undefined),
    sql: member('boolean'),
    stored: ['', '::boolean'],
  },
  dateTime: {
    type: 'timestamptz',
    expected: 'a valid Date',
    read: (stored) => (typeof stored === 'string' ? new Date(stored) : stored),
    write: (value) => (value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : undefined),
    sql: member('timestamptz', (wire: string | Date) => new Date(wire)),
    stored: ['to_char(', '::timestamptz at time zone \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\')'],
  },
  object: {
    type: 'json',
    decode: parsed,
    expected: 'an object',
    read: same,
    write: (value) => (typeof value === 'object' && !Array.isArray(value) ? value : undefined),
    sql: inner,
    stored: ['', '::jsonb'],
    merges: true,
  },
  array: {
    type: 'json',
    decode: parsed,
    expected: 'an array',
    read: same,
    write: (value) => (Array.isArray(value) ? value : undefined),
    sql: inner,
    stored: ['', '::jsonb'],
  },
}
