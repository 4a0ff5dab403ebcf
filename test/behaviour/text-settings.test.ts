/** Settings by which the server writes values as text: an answer is the same in its first run and in later ones, and by every driver. */

import { createDb, type Db } from 'genever'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { errorResponse } from '../faults/messages.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { onServers } from '../support/extent.ts'
import { forEachDriver } from '../support/matrix.ts'
import { startProxy } from '../support/proxy.ts'

const third = 0.1 + 0.2
const floats = `select 0.1::float8 + 0.2::float8 as one, array[0.1::float8 + 0.2::float8] as many, $1::float8 as given,
  (0.1::float8 + 0.2::float8)::text as text, to_json(0.1::float8 + 0.2::float8) as json`
const exact = { one: third, many: [third], given: third, text: String(third), json: third }
const rounded = { one: 0.3, many: [0.3], given: 0.3, text: '0.3', json: 0.3 }

const alike = (row: object): object[] => [row, row, row, row]

async function fourTimes(db: Pick<Db, 'one'>): Promise<unknown[]> {
  const rows: unknown[] = []
  for (let run = 0; run < 4; run++) rows.push(await db.one(floats, [third]))
  return rows
}

const inSession: readonly (readonly [door: string, lower: (db: Pick<Db, 'status' | 'scalar'>) => Promise<unknown>])[] =
  [
    ['SET', (db) => db.status('set extra_float_digits = 0')],
    ['SET SESSION with quotes', (db) => db.status(`set session "extra_float_digits" to '0'`)],
    ['set_config()', (db) => db.scalar(`select set_config('extra_float_digits', '0', false)`)],
    ['set_config() of parameters', (db) => db.scalar('select set_config($1, $2, false)', ['extra_float_digits', '0'])],
    ['a block', (db) => db.status(`do $$ begin perform set_config('extra_float_digits', '0', false); end $$`)],
    ['a function', (db) => db.scalar('select pg_temp.fewer_digits()')],
  ]

forEachDriver((driver) => {
  test.each(inSession)(
    'by %s a session rounds its floats in every run, and the next borrower’s are whole',
    async (_, lower) => {
      const db = await driver.single()
      expect(await fourTimes(db)).toEqual(alike(exact))
      await db.scope(async () => {
        await db.status(
          `create function pg_temp.fewer_digits() returns text language sql as $$ select set_config('extra_float_digits', '0', false) $$`,
        )
        await lower(db)
        expect(await fourTimes(db)).toEqual(alike(rounded))
      })
      expect(await fourTimes(db)).toEqual(alike(exact))
    },
  )

  test.each([`set local extra_float_digits = 0`, `select set_config('extra_float_digits', '0', true)`])(
    'for a transaction alone it is the same: %s',
    async (text) => {
      const db = await driver.single()
      expect(await fourTimes(db)).toEqual(alike(exact))
      await db.transaction(async () => {
        await db.status(text)
        expect(await fourTimes(db)).toEqual(alike(rounded))
      })
      expect(await fourTimes(db)).toEqual(alike(exact))
    },
  )

  test('a cursor that is open goes on as it began', async () => {
    const db = await driver.single()
    await db.transaction(async () => {
      const seen: unknown[] = []
      for await (const { f } of db.iterate<{ f: number }>(
        'select 0.1::float8 + 0.2::float8 as f from generate_series(1, 6)',
        [],
        { batchSize: 2 },
      )) {
        seen.push(f)
        if (seen.length === 1) await db.status('set local extra_float_digits = 0')
      }
      expect(seen).toHaveLength(6)
      for (const each of seen) expect([third, 0.3]).toContain(each)
    })
  })

  test('another DateStyle in a session is an error in every run of a timestamp, and gone behind it', async () => {
    const db = await driver.single()
    const text = "select '2024-02-03 04:05:06+00'::timestamptz as t"
    const whole = Date.UTC(2024, 1, 3, 4, 5, 6)
    for (let run = 0; run < 4; run++) expect(Number(await db.scalar(text))).toBe(whole)
    await db.scope(async () => {
      await db.scalar(`select set_config($1, $2, false)`, ['datestyle', 'German'])
      for (let run = 0; run < 4; run++) expect((await caught(db.scalar(text))).message).toContain('DateStyle')
      expect(await db.scalar("select '2024-02-03'::date")).toBe('03.02.2024')
    })
    for (let run = 0; run < 4; run++) expect(Number(await db.scalar(text))).toBe(whole)
  })

  test('settings of scopes and of the engine that would round or write dates otherwise are refused by name', async () => {
    const db = await driver.single()
    for (const [name, value] of [
      ['extra_float_digits', '0'],
      ['extra_float_digits', '-5'],
      ['DateStyle', 'SQL, DMY'],
      ['datestyle', 'German'],
    ] as const) {
      const settings = { [name]: value }
      expect((await caught(db.scope(() => db.scalar('select 1'), { settings }))).message.toLowerCase()).toContain(
        name.toLowerCase(),
      )
      expect((await caught(createDb(await driver.url(), { settings }).scalar('select 1'))).message).toContain(name)
    }
    const fine = { extra_float_digits: '1', datestyle: 'ISO, DMY' }
    expect(await db.scope(() => db.scalar("select '02/03/2024'::date"), { settings: fine })).toBe('2024-03-02')
  })

  test('onConnect that lowers the digits rounds in every run', async () => {
    const db = createDb(await driver.url(), {
      pool: { max: 1 },
      onConnect: (connection) => connection.status('set extra_float_digits = 0'),
    })
    expect(await fourTimes(db)).toEqual(alike(rounded))
    await db.close()
  })
})

test.each(onServers)('%s: what a role or a database says of digits rounds nothing', async (driver) => {
  await using database = await freshDatabase()
  await database.query(`alter database "${database.name}" set extra_float_digits = 0`)
  await using db = createDb(database.url, { driver, pool: { max: 1 } })
  expect(await fourTimes(db)).toEqual(alike(exact))
  await db.scope(async () => {
    await db.status('reset all')
    expect(await fourTimes(db)).toEqual(alike(exact))
  })
})

test.each([
  '-c extra_float_digits=0',
  '--extra-float-digits=-3',
  '-c datestyle=German',
  '-c work_mem=4MB -c DateStyle=SQL\\,\\ DMY',
])('options of the URL are refused: %s', async (options) => {
  await using database = await freshDatabase()
  const url = `${database.url}?options=${encodeURIComponent(options)}`
  expect((await caught(Promise.resolve().then(() => createDb(url).open()))).message).toMatch(
    /can only be (?:1 or more|ISO)/,
  )
})

test.each(onServers)('%s: a pooler that refuses to be asked for all digits is asked once', async (driver) => {
  await using database = await freshDatabase()
  await using pooler = await startProxy(database.url)
  const { hostname, port } = new URL(database.url)
  const asked: boolean[] = []
  await pooler.accept((socket) => {
    socket.once('data', (start: Buffer) => {
      const digits = start.includes('extra_float_digits')
      asked.push(digits)
      if (digits) socket.end(errorResponse('FATAL', '08P01', 'unsupported startup parameter: extra_float_digits'))
      else {
        const server = connect(Number(port), hostname)
        socket.pipe(server).pipe(socket)
        server.write(start)
        server.on('error', () => socket.destroy())
        socket.on('error', () => server.destroy())
      }
    })
  })
  await using db = createDb(pooler.url, { driver, pool: { max: 2 } })
  expect(await db.scalar('select 1')).toBe(1)
  await using first = await db.acquire()
  await using second = await db.acquire()
  expect(await Promise.all([first.scalar('select 2'), second.scalar('select 3')])).toEqual([2, 3])
  expect(asked).toEqual([true, false, false])
})
