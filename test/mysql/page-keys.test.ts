/** Pages on MySQL by keys of every kind: each row once, in the order of the server, whatever type the table declares; or refused by name. */

import { asc, desc } from 'drizzle-orm'
import {
  bigint,
  char,
  datetime,
  decimal,
  int,
  mysqlEnum,
  mysqlTable,
  text,
  time,
  timestamp,
  varchar,
} from 'drizzle-orm/mysql-core'
import { createDb, type EngineOptions, UsageError } from 'genever'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql } from '../support/mysql.ts'

interface Kind {
  /** The type of the column in the database, and the column as Drizzle declares it. */
  readonly type: string
  readonly column: () => ReturnType<typeof int>
  readonly values: readonly unknown[]
}

const kind = (type: string, column: () => unknown, ...values: readonly unknown[]): Kind => ({
  type,
  column: column as Kind['column'],
  values,
})

const text9 = (): unknown => varchar({ length: 9 })
const number = (): unknown => bigint({ mode: 'number' })
const moods = "('sad','ok','happy')"

const kinds: Readonly<Record<string, Kind>> = {
  'texts that are declared as numbers': kind('varchar(20)', number, '7', '07', '8', '10', '007', '7.0', ' 7'),
  'numbers that are declared as texts': kind(
    'bigint',
    text9,
    ...['9007199254740993', '9007199254740992', '9007199254740994', -5, 10, 9],
  ),
  'numbers beyond a signed one': kind(
    'bigint unsigned',
    () => bigint({ mode: 'bigint', unsigned: true }),
    ...['18446744073709551615', '18446744073709551614', '9223372036854775808', 1],
  ),
  enum: kind(`enum${moods}`, () => mysqlEnum(['sad', 'ok', 'happy']), 'sad', 'ok', 'happy'),
  'texts that are declared as an enum': kind('varchar(9)', () => mysqlEnum(['sad', 'ok']), 'sad', 'ok', 'happy'),
  'bytes that are declared as texts': kind(
    'varbinary(9)',
    text9,
    ...['a', 'A', 'ä', Buffer.from([255, 254]), Buffer.from([255, 253]), 'b'],
  ),
  decimals: kind('decimal(30,2)', () => decimal({ precision: 30, scale: 2 }), '1.5', '1.49', '9007199254740992.01'),
  'decimals that are declared as whole numbers': kind(
    'decimal(30,2)',
    () => varchar({ length: 40 }),
    ...['1.5', '1.49', '9007199254740992.01', '9007199254740992.02', '-1'],
  ),
  'bits that are declared as numbers': kind('bit(16)', int, 256, 1, 255),
  'microseconds that are declared as seconds': kind(
    'datetime(6)',
    datetime,
    ...['2025-01-01 00:00:00.000001', '2025-01-01 00:00:00.000002', '2025-01-01'],
  ),
  timestamp: kind('timestamp(6) null', timestamp, '2025-01-01 00:00:00.000001', '2025-01-01 00:00:00.000002'),
  time: kind('time(3)', () => time({ fsp: 3 }), '-100:00:00.5', '-20:00', '20:00', '100:00', '-00:00:01'),
  'text of another character set': kind('varchar(9) character set latin1', text9, 'a', 'A', 'ä', 'b', 'z', ''),
  'text that is compared by bytes': kind('varchar(9) collate utf8mb4_bin', text9, 'a', 'a ', 'a\t', 'A', 'ä', 'b'),
  'text without padding': kind('varchar(9) collate utf8mb4_nopad_bin', text9, 'a', 'a ', 'a\t', 'A', 'ä', 'b'),
  'text in which ä is ae': kind('varchar(9) collate utf8mb4_german2_ci', text9, 'ä', 'ae', 'af', 'ad', 'ß', 'ss'),
  'a uuid that is declared as text': kind(
    'uuid',
    () => char({ length: 36 }),
    '123e4567-e89b-12d3-a456-426614174000',
    'f23e4567-e89b-12d3-0456-426614174001',
    '123e4567-e89b-12d3-a457-426614174000',
  ),
  'an address that is declared as text': kind('inet6', text9, '::1', '::10', '::2', 'fe80::1', 'a::'),
}

const start = 'x'.repeat(1500)
const longTexts = kind('text', text, `${start}c`, `${start}b`, `${start}a`)

/** What the server would compare otherwise than it orders, and what the error says of it. */
const refused: Readonly<Record<string, Kind & { readonly message: RegExp }>> = {
  'an enum that is declared as text': {
    ...kind(`enum${moods}`, text9, 'sad', 'ok', 'happy'),
    message: /`k`, which is enum in the database and varchar\(9\) in its model/,
  },
  'a set that is declared as text': {
    ...kind(`set${moods}`, text9, 'sad', 'ok', 'happy', 'sad,happy'),
    message: /`k`, which is set in the database/,
  },
  'doubles that are declared as whole numbers': {
    ...kind('double', number, 1, 2),
    message: /`k`, which is double in the database/,
  },
  'floats that are declared as texts': { ...kind('float', text9, 0.1), message: /`k`, which is float in the database/ },
  'texts that differ behind the part that the server sorts by': {
    ...longTexts,
    message: /Raise max_sort_length/,
  },
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the model infers
async function filled({ type, column, values }: Kind, options?: EngineOptions) {
  const server = await freshMysql(`create table items (id int auto_increment primary key, k ${type} null)`)
  for (const value of [...values, null, ...values]) await server.query('insert into items (k) values (?)', [value])
  const db = createDb(server.url, options)
  class Item extends Model(db, mysqlTable('items', { id: int().autoincrement().primaryKey(), k: column() })) {}
  const whole = async (way: 'asc' | 'desc'): Promise<unknown[]> =>
    (await server.query(`select id from items order by k ${way}, id ${way}`)).map(({ id }) => id)
  const paged = async (way: 'asc' | 'desc', size: number): Promise<unknown[]> => {
    const ids: unknown[] = []
    let cursor: string | null = null
    do {
      const page: { rows: readonly { id: number }[]; cursor: string | null } = await Item.query()
        .orderBy((way === 'asc' ? asc : desc)(Item.c.k))
        .limit(size)
        .after(cursor)
        .page()
      ids.push(...page.rows.map(({ id }) => id))
      cursor = page.cursor
    } while (cursor !== null && ids.length <= 2 * values.length + 1)
    return ids
  }
  return {
    Item,
    whole,
    paged,
    [Symbol.asyncDispose]: async () => {
      await db.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

describeMysql('pages in the order of', () => {
  test.each(Object.entries(kinds))('%s: each row comes once', async (_, each) => {
    await using items = await filled(each)
    for (const way of ['asc', 'desc'] as const)
      for (const size of [1, 2, 3])
        expect(await items.paged(way, size), `${way} ${size}`).toEqual(await items.whole(way))
  })

  test.each(Object.entries(refused))('%s: refused where rows would be skipped', async (_, { message, ...each }) => {
    await using items = await filled(each)
    for (const way of ['asc', 'desc'] as const) {
      const error = await caught(items.paged(way, 2))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toMatch(message)
    }
  })

  test('texts as long as max_sort_length allows have each row once', async () => {
    await using items = await filled(longTexts, { settings: { max_sort_length: 8000 } })
    expect(await items.paged('asc', 1)).toEqual([4, 3, 7, 2, 6, 1, 5])
    expect(await items.paged('desc', 2)).toEqual([5, 1, 6, 2, 7, 3, 4])
  })

  test('a cursor that somebody has changed is no cursor', async () => {
    await using items = await filled(kinds['decimals'] as Kind)
    const query = items.Item.query().orderBy(items.Item.c.k).limit(2)
    const { cursor } = await query.page()
    const parts = JSON.parse(Buffer.from(cursor as string, 'base64url').toString()) as unknown[]
    for (const key of ['nabc', 'n', 'd1.', 'b0', 'x1', '', 7]) {
      const changed = Buffer.from(JSON.stringify([parts[0], parts[1], key, parts[3]])).toString('base64url')
      const error = await caught((async () => query.after(changed).page())())
      expect(error).toMatchObject({ name: 'UsageError', clientError: true })
    }
  })
})
