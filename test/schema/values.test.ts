/** Values of defaults and expressions come back as they were meant, whatever signs they hold. */

import { type SQL, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  customType,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  pgView,
  real,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import { createAll } from 'genever/schema'
import { expect, test } from 'vitest'
import { onEmpty } from './support.ts'

const nasty = `it's "so" \\ odd, {yes} $1 ; -- /* ü 🙂 \n :name`
const blob = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const upper = customType<{ data: string }>({ dataType: () => 'text', toDriver: (value) => value.toUpperCase() })
const count = customType<{ data: number }>({ dataType: () => 'integer' })
const odd = pgEnum('odd', ["it's", 'back\\slash', '"quoted"', 'comma, brace {}'])

const table = pgTable('defaults', {
  id: integer().primaryKey(),
  words: text().default(nasty),
  list: text().array().default([nasty, '', 'NULL']),
  data: jsonb().default({ [nasty]: [nasty, 1, null] }),
  scalar: jsonb().default('just text'),
  docs: jsonb()
    .array()
    .default([{ a: nasty }, [1]]),
  big: bigint({ mode: 'bigint' }).default(-9_223_372_036_854_775_808n),
  bigs: bigint({ mode: 'bigint' }).array().default([9_223_372_036_854_775_807n]),
  exact: numeric().default('0.1000000000000000055511151231257827'),
  none: real().default(Number.NaN),
  endless: doublePrecision().default(-Infinity),
  zero: integer().default(0),
  no: boolean().default(false),
  empty: text().default(''),
  at: timestamp({ withTimezone: true }).default(new Date('1999-12-31T23:59:59.999Z')),
  ats: timestamp()
    .array()
    .default([new Date('1999-12-31T23:59:59.999Z')]),
  day: date({ mode: 'date' }).default(new Date('0999-01-02')),
  bytes: blob().default(Buffer.from([0, 39, 92, 255])),
  shout: upper().default("it's"),
  shouts: upper().array().default(['a', 'b"c']),
  counted: count().default(5),
  odd: odd().default('back\\slash'),
  odds: odd().array().default(["it's", '"quoted"', 'comma, brace {}']),
  made: text().default(sql`${nasty} || ${1}::int`),
  computed: text().generatedAlwaysAs((): SQL => sql`${table.words} || ${nasty}`),
  fixed: text().generatedAlwaysAs(nasty),
})

onEmpty((place) => {
  test('defaults are the values they were declared as', async () => {
    await createAll(place.db, [table])
    await place.db.status('insert into defaults (id) values (1)')

    const shown = {
      words: nasty,
      data: { [nasty]: [nasty, 1, null] },
      scalar: 'just text',
      none: Number.NaN,
      endless: -Infinity,
      zero: 0,
      no: false,
      empty: '',
      at: new Date('1999-12-31T23:59:59.999Z'),
      day: '0999-01-02',
      bytes: Buffer.from([0, 39, 92, 255]),
      shout: "IT'S",
      counted: 5,
      odd: 'back\\slash',
      exact: '0.1000000000000000055511151231257827',
      made: `${nasty}1`,
      computed: nasty + nasty,
      fixed: nasty,
    }
    const told = Object.keys(shown).join(', ')
    expect(await place.db.one(`select ${told} from defaults`)).toEqual(shown)
    expect(
      await place.db.one(
        `select list = array[$1, '', 'NULL'] as list, docs::text[] = array['{"a": ' || to_json($1::text)::text || '}', '[1]'] as docs,
        big::text as big, bigs::text as bigs, ats::text as ats, shouts::text as shouts, odds[2]::text as odd, scalar::text as scalar from defaults`,
        [nasty],
      ),
    ).toEqual({
      list: true,
      docs: true,
      big: '-9223372036854775808',
      bigs: '{9223372036854775807}',
      ats: '{"1999-12-31 23:59:59.999"}',
      shouts: '{A,"B\\"C"}',
      odd: '"quoted"',
      scalar: '"just text"',
    })
  })

  test('values in checks, partial indexes and views are literals of their kind', async () => {
    const at = new Date('2026-01-02T03:04:05.678Z')
    const events = pgTable('events', { id: integer(), name: text(), at: timestamp({ withTimezone: true }) }, (t) => [
      check('odd', sql`${t.name} <> ${nasty} and ${t.id} - ${-1} > ${0} and ${t.id} < ${10n} and ${true}`),
    ])
    const late = pgView('late', { id: integer(), data: jsonb(), list: text().array() }).as(
      sql`select ${events.id}, ${{ a: nasty }}::jsonb as data, ${sql.param([nasty, 'b'])}::text[] as list,
        ${null}::text as nothing from ${events} where ${events.at} > ${at} and ${events.name} <> '$1'`,
    )
    await createAll(place.db, [late, events])
    await place.db.status(
      `insert into events values (1, 'a', '2026-01-02T03:04:05.679Z'), (2, 'a', '2026-01-02T03:04:05.678Z')`,
    )

    expect(await place.db.all('select id, data, list[1] as first, nothing from late')).toEqual([
      { id: 1, data: { a: nasty }, first: nasty, nothing: null },
    ])
  })
})
