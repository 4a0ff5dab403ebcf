/** A literal means what it means now, however often its text has run: by the settings of the session, and at this time of day. */

import type { Db, Executor } from 'genever'
import { describe, expect, test } from 'vitest'
import { fc } from '../support/fast-check.ts'
import { forEachDriver } from '../support/matrix.ts'

/** Texts with a literal, and what they give in Berlin, with the day in front of the month, or as the SQL standard writes intervals. */
const texts = {
  zone: `select extract(epoch from '2024-01-01 00:00'::timestamptz)::int`,
  day: `select '01/02/2003'::date`,
  gap: `select extract(epoch from '-1 2:03:04'::interval)::int`,
  none: `select array_length('{NULL}'::text[], 1), '{NULL}'::text[]`,
} as const

/** Whether literals mean what the server makes of the same texts while the statement runs. */
const agreement = `select '2024-01-01 00:00'::timestamptz = ('2024-01-01' || ' 00:00')::timestamptz
  and '01/02/2003'::date = ('01/02' || '/2003')::date and '-1 2:03:04'::interval = ('-1 ' || '2:03:04')::interval`

const zones = ['UTC', 'Europe/Berlin', 'america/new_york', '+5']
const orders = ['ISO, MDY', 'iso, dmy', 'ISO,DMY']
const styles = ['postgres', 'sql_standard']

/** What changes such a setting, in SQL. */
const changes: readonly string[] = [
  ...zones.flatMap((zone) => [
    `set timezone = '${zone}'`,
    `set local time zone '${zone}'`,
    `set session "TimeZone" to '${zone}'`,
    `select set_config('TimeZone', '${zone}', false)`,
    `select set_config('timezone', '${zone}', true)`,
    `select set_config('timezone', upper('${zone}'), false), 1`,
    `do $$ begin perform set_config('timezone', '${zone}', false); end $$`,
  ]),
  ...orders.flatMap((order) => [`set datestyle = '${order}'`, `set local datestyle to '${order}'`]),
  'set datestyle to mdy',
  ...styles.flatMap((style) => [`set intervalstyle = ${style}`, `set local intervalstyle to '${style}'`]),
  'reset timezone',
  'reset time zone',
  'set timezone to default',
  'set time zone local',
  'reset datestyle',
  'reset all',
]

/** A text, or a transaction of steps. */
type Step = string | { readonly inside: readonly Step[]; readonly undone: boolean }

const { step } = fc.letrec<{ step: Step }>((tie) => ({
  step: fc.oneof(
    { maxDepth: 3 },
    { weight: 3, arbitrary: fc.constantFrom(...changes) },
    { weight: 3, arbitrary: fc.constant(agreement) },
    { weight: 2, arbitrary: fc.record({ inside: fc.array(tie('step'), { maxLength: 8 }), undone: fc.boolean() }) },
  ),
}))

/** Runs the steps. @param together Texts are issued without waiting for those in front of them. */
async function play(on: Executor, steps: readonly Step[], together: boolean, inside: boolean): Promise<unknown[]> {
  const answers: Promise<unknown>[] = []
  for (const each of steps) {
    if (typeof each !== 'string') {
      const found = on.transaction(async (tx) => {
        answers.push(Promise.all(await play(tx, each.inside, together, true)))
        if (each.undone) tx.raiseRollback()
      })
      await found
    } else if (each === agreement) answers.push(on.scalar(agreement))
    else if (inside || !/^set local |, true\)/.test(each)) answers.push(on.status(each).then(() => true))
    if (!together) await Promise.all(answers)
  }
  return Promise.all(answers)
}

forEachDriver((driver) => {
  const within = (db: Db, settings: Record<string, string>, text: string): Promise<unknown> =>
    db.scope(() => db.scalar(text), { settings })

  describe('settings of a scope', () => {
    test.each([true, false])('count for each scope on one connection (prepare: %s)', async (prepare) => {
      const db = await driver.single({ prepare })
      for (let round = 0; round < 3; round++) {
        expect(await db.scope(() => db.scalar(texts.zone), { settings: { TimeZone: 'UTC' } })).toBe(1_704_067_200)
        expect(await within(db, { timezone: 'Europe/Berlin' }, texts.zone)).toBe(1_704_063_600)
        expect(await within(db, { timezone: 'America/New_York' }, texts.zone)).toBe(1_704_085_200)
        expect(await within(db, { datestyle: 'ISO, MDY' }, texts.day)).toBe('2003-01-02')
        expect(await within(db, { datestyle: 'ISO, DMY' }, texts.day)).toBe('2003-02-01')
        expect(await within(db, { intervalstyle: 'postgres' }, texts.gap)).toBe(-79_016)
        expect(await within(db, { intervalstyle: 'sql_standard' }, texts.gap)).toBe(-93_784)
        expect((await db.all(texts.none))[0]).toMatchObject({ text: [null] })
        const off = await db.scope(() => db.all(texts.none), { settings: { array_nulls: 'off' } })
        expect(off[0]).toMatchObject({ text: ['NULL'] })
      }
    })

    test('count for baked statements, cursors and statements of a transaction', async () => {
      const db = await driver.single()
      const baked = db.bake<{ n: number }>(`${texts.zone} as n`)
      for (let round = 0; round < 2; round++)
        for (const [timezone, n] of [
          ['UTC', 1_704_067_200],
          ['Europe/Berlin', 1_704_063_600],
        ] as const) {
          const found = await db.scope(
            () =>
              db.transaction(async (tx) => [
                await baked.all(),
                await tx.all(`${texts.zone} as n`),
                await tx.iterate(`${texts.zone} as n`).read(5),
              ]),
            { settings: { timezone } },
          )
          expect(found).toEqual([[{ n }], [{ n }], [{ n }]])
        }
    })
  })

  test('what SET, set_config(), RESET and rollbacks do to a session counts for literals, in any order', async () => {
    const db = await driver.single()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 16 }), fc.boolean(), async (steps, together) => {
        const answers = await db.scope(() => play(db, steps, together, false))
        answers.push(await db.scalar(agreement))
        expect(answers.flat(Infinity).filter((same) => same !== true)).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  test.each([
    ['now', `select extract(epoch from clock_timestamp() - 'now'::timestamptz)`],
    ['now, in a list', `select extract(epoch from clock_timestamp() - ('{" NOW "}'::timestamptz[])[1])`],
    ['now, in dollars', `select extract(epoch from clock_timestamp() - $$now$$::timestamptz)`],
  ])('a literal that says %s is read each time that its text runs', async (_, text) => {
    const db = await driver.single()
    for (let round = 0; round < 4; round++) await db.scalar(text)
    await db.scalar('select pg_sleep(0.3)')

    for (const ask of [
      () => db.scalar(text),
      () => db.transaction(() => db.scalar(text)),
      () => db.bake(text).scalar(),
    ])
      expect(Number(await ask())).toBeLessThan(0.25)
  })

  test.each(['now', 'Today 10:00', 'tomorrow', '[yesterday,)'])(
    'a text with the literal %s is not prepared',
    async (literal) => {
      const db = await driver.single()
      for (let round = 0; round < 3; round++)
        expect(await db.scalar(`select '${literal}' <> '' as literals_of_now`)).toBe(true)

      expect(
        await db.all("select from pg_prepared_statements where statement like '%literals_of_now' and not from_sql"),
      ).toEqual([])
    },
  )

  test('a text without literals is prepared once, whatever the zone', async () => {
    const db = await driver.single()
    const text = 'select $1::int + 1 as zones_apart'
    for (const timezone of ['UTC', 'Europe/Berlin', 'Asia/Tokyo'])
      await db.scope(() => db.scalar(text, [1]), { settings: { timezone } })

    const prepared = await db.all(
      "select name from pg_prepared_statements where statement like '%zones_apart' and not from_sql",
    )
    expect(prepared).toHaveLength(1)
  })
})
