/** Pages by keys of every type of PostgreSQL, whatever the table declares: each row once, in the order of the server. */

import { sql } from 'drizzle-orm'
import { bigint, customType, integer, pgTable } from 'drizzle-orm/pg-core'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { fc } from '../support/fast-check.ts'
import { forEachDriver } from '../support/matrix.ts'

const other = (type: string): (() => unknown) => customType<{ data: string }>({ dataType: () => type })
const number = (): unknown => bigint({ mode: 'number' })

/** The type in the database; the column that the table declares, where it is another; values as the server reads them. */
const kinds: Readonly<Record<string, readonly [type: string, column: () => unknown, values: readonly string[]]>> = {
  'texts that are declared as numbers': ['text', number, ['7', '07', '8', '10', '007', '']],
  'decimals that are declared as whole numbers': [
    'numeric',
    number,
    ['7', '7.0', '9007199254740993', '9007199254740992'],
  ],
  decimals: ['numeric', other('numeric'), ['7', '7.00', 'NaN', 'Infinity', '-Infinity', '0.10']],
  texts: ['text', other('text'), ['a', 'A', 'ä', '', 'a ', '\u{1F600}', 'a\nb', "a'b\\"]],
  'texts that are compared by bytes': ['text collate "C"', other('text'), ['a', 'A', 'ä', '', 'a ', '\u{1F600}']],
  'texts with padding': ['char(5)', other('text'), ['a', 'A', 'a ', '', '\t']],
  microseconds: [
    'timestamptz',
    other('timestamptz'),
    ['2025-01-01 00:00:00.000001+00', '2025-01-01 00:00:00.000002+00', 'infinity', '-infinity', '0044-03-15 BC'],
  ],
  dates: ['date', other('date'), ['2025-01-01', 'infinity', '-infinity', '0044-03-15 BC']],
  doubles: ['float8', other('float8'), ['0', '-0', 'NaN', 'Infinity', '-Infinity', '0.1', '1e300', '5e-324']],
  floats: ['float4', other('float4'), ['0', '-0', 'NaN', '0.1', '0.3', '16777216', '16777214']],
  'an enum': ['mood', other('mood'), ['sad', 'ok', 'happy']],
  'a domain': ['word', other('text'), ['b', 'a', 'A']],
  JSON: ['jsonb', other('jsonb'), ['1', '"a"', '{"a":1}', '[1,2]', 'null', 'true', '"1"', '1.0']],
  arrays: ['text[]', other('text[]'), ['{a,b}', '{a}', '{}', '{NULL}', '{"NULL"}', '{"a,b"}', '{{a},{b}}']],
  bytes: ['bytea', other('bytea'), ['\\x01', '\\xff', '\\x', '\\x0100']],
  intervals: ['interval', other('interval'), ['1 day', '24 hours', '-1 month', '30 days', '1 mon -1 day', '-00:00:01']],
  addresses: ['inet', other('inet'), ['10.0.0.1', '10.0.0.0/8', '::1']],
  ranges: ['int4range', other('int4range'), ['[1,2)', 'empty', '(,5)', '[1,)']],
}

let made = 0

const literal = (value: string | null): string => (value === null ? 'null' : `'${value.replaceAll("'", "''")}'`)

forEachDriver((driver) => {
  describe('pages in the order of', () => {
    test.each(Object.entries(kinds))('%s: each row comes once', async (_, [type, column, values]) => {
      const db = await driver.db()
      const own = `page_${process.pid}_${++made}`
      const of = type.replace('mood', `${own}_mood`).replace('word', `${own}_word`)
      if (type === 'mood') await db.status(`create type ${of} as enum ('sad', 'ok', 'happy')`)
      if (type === 'word') await db.status(`create domain ${of} as text collate "C"`)
      const name = await driver.table(`id integer primary key, k ${of}, l ${of}`)
      const [k, l] = [column, column].map((each) => each() as ReturnType<typeof integer>) as [never, never]
      class Item extends Model(db, pgTable(name, { id: integer().primaryKey(), k, l })) {}
      const value = fc.constantFrom(null, ...values)
      const way = fc.constantFrom('asc', 'desc', 'asc nulls first', 'desc nulls last')
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 12 }),
          way,
          way,
          fc.integer({ min: 1, max: 4 }),
          async (rows, first, second, size) => {
            await db.status(`delete from ${name}`)
            const written = rows.map(([a, b], id) => `(${id}, ${literal(a)}, ${literal(b)})`)
            await db.status(`insert into ${name} values ${written.join()}`)
            const last = second.startsWith('desc') ? 'desc' : 'asc'
            const whole = await db.all<{ id: number }>(
              `select id from ${name} order by k ${first}, l ${second}, id ${last}`,
            )
            const seen: number[] = []
            let cursor: string | null = null
            do {
              const page: { rows: readonly { id: number }[]; cursor: string | null } = await Item.select('id')
                .orderBy(sql`${Item.c.k} ${sql.raw(first)}`, sql`${Item.c.l} ${sql.raw(second)}`)
                .limit(size)
                .after(cursor)
                .page()
              seen.push(...page.rows.map(({ id }) => id))
              cursor = page.cursor
            } while (cursor !== null && seen.length <= rows.length)
            expect(seen).toEqual(whole.map(({ id }) => id))
          },
        ),
        { numRuns: 10 },
      )
    })
  })
})
