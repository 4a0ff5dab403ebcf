/** The table of docs/types.md, row by row: what is read of each type, what may be sent for it, and which conversion makes an object of it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { createDb, type Db, type TypeConversion } from 'genever'
import * as readyMade from 'genever/types'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'
import { root } from '../support/source.ts'

interface Line {
  readonly type: string
  readonly read: string
  readonly sent: readonly string[]
  readonly made: readonly string[]
}

const codes = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)

/** Of the first table of that section. */
function linesOf(page: string): Line[] {
  const table = page.split('| PostgreSQL | you read |')[1]?.split('\n\n')[0] ?? ''
  return table
    .split('\n')
    .slice(2)
    .flatMap((line) => {
      const [types = '', read = '', sent = '', made = ''] = line.split(' |')
      return codes(types).map((type) => ({ type, read: read.trim(), sent: codes(sent), made: codes(made) }))
    })
}

const lines = linesOf(readFileSync(join(root, 'docs', 'types.md'), 'utf8'))

/** What the words of the table mean. */
const kinds: readonly (readonly [begins: string, fits: (value: unknown) => boolean])[] = [
  ['number', (value) => typeof value === 'number'],
  ['string', (value) => typeof value === 'string'],
  ['boolean', (value) => typeof value === 'boolean'],
  ['parsed', (value) => typeof value === 'object' && value !== null && !(value instanceof Date)],
  ['`Buffer`', (value) => Buffer.isBuffer(value)],
  ['`Date`', (value) => value instanceof Date],
]

/** A value of the type as SQL, where the first thing that may be sent is none. */
const samples: Readonly<Record<string, string>> = {
  bytea: String.raw`'\x61'`,
  xid: "'7'",
  xid8: "'7'",
  cid: "'7'",
  tid: "'(0,1)'",
  regclass: "'pg_class'",
  regtype: "'int4'",
  regproc: "'now'",
  timestamptz: "'2024-01-31 10:00+02'",
  timestamp: "'2024-01-31 10:00'",
  json: `'{"a": 1}'`,
  jsonb: `'{"a": 1}'`,
}

const valueOf = (code: string): unknown => runInNewContext(`(${code})`, { Date, Buffer, Uint8Array })

function literalOf({ type, sent }: Line): string {
  return samples[type] ?? `'${String(valueOf(sent[0] ?? "''")).replaceAll("'", "''")}'`
}

/** What a conversion makes of a value is an object, or a `Date`; text stays text. */
const exported = readyMade as unknown as Readonly<Record<string, TypeConversion | undefined>>

test('the table has every type that comes with the server and that a column may have', () => {
  expect(lines.length).toBeGreaterThan(50)
  expect(new Set(lines.map(({ type }) => type)).size).toBe(lines.length)
})

forEachDriver((driver) => {
  let db: Db
  beforeAll(async () => (db = createDb(await driver.url(), { pool: { idleTimeoutMs: Infinity } })))
  afterAll(() => db.close())

  describe.each(lines)('$type', (line) => {
    const { type, read, sent, made } = line

    test(`is read as ${read}`, async () => {
      const [, fits] = kinds.find(([begins]) => read.startsWith(begins)) ?? []
      const literal = literalOf(line)
      const row = await db.one<{ v: unknown; l: unknown[]; n: unknown }>(
        `select ${literal}::${type} as v, array[${literal}::${type}, null] as l, null::${type} as n`,
      )

      expect(fits?.(row.v), `${type}: ${String(row.v)}`).toBe(true)
      expect(row.l).toEqual([row.v, null])
      expect(row.n).toBeNull()
    })

    test.runIf(sent.length > 0)(`takes ${sent.join(' and ')}`, async () => {
      for (const code of sent) {
        const value = valueOf(code)
        const seen = await db.scalar(`select $1::${type}`, [value])
        expect(seen, `${code} for ${type}`).not.toBeNull()
        // What is read may be sent again, and is the same then.
        if (!type.startsWith('json')) expect(await db.scalar(`select $1::${type}`, [seen])).toEqual(seen)
        if (type.startsWith('json') || code.startsWith('{')) continue
        expect(await db.scalar(`select $1::${type}[]`, [[value, null]])).toEqual([seen, null])
      }
    })

    const conversions = made.filter((name) => exported[name] !== undefined)
    const [own = conversions[0]] = conversions.filter((name) => name === type)
    test.runIf(own !== undefined)(`becomes an object by ${own}, and is written back`, async () => {
      const types = { [type]: exported[own as string] as TypeConversion }
      const seen = await db.scalar(`select ${literalOf(line)}::${type}`, [], { types })

      expect(seen).toBeTypeOf('object')
      expect(await db.scalar(`select $1::${type}`, [seen], { types })).toEqual(seen)
    })
  })
})
