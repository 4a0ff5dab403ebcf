/** pgvector's types in binary: the same values as in text, known by the extension that has them. */

import { createDb, type Db, type EngineOptions } from 'genever'
import { sparsevec, vector } from 'genever/types'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { shortest } from '../../src/postgres/float4.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { sample, wantedDrivers } from '../support/extent.ts'
import { typeLike } from '../support/type-like.ts'

/** For servers without pgvector: a type of an extension of that name, which takes its binary form, and has no other text. */
const inBytes = (name: string): string => `${typeLike(name, 'bytea')}
  insert into pg_catalog.pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
    select 'pg_catalog.pg_type'::regclass, '${name}'::regtype, 0, 'pg_catalog.pg_extension'::regclass, oid, 0, 'e'
    from pg_catalog.pg_extension where extname = 'vector';`

const extension = `
  insert into pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  values (pg_catalog.pg_nextoid('pg_catalog.pg_extension', 'oid', 'pg_catalog.pg_extension_oid_index'), 'vector',
    (select oid from pg_catalog.pg_roles where rolname = current_user), 'public'::regnamespace, true, '0.8.0');`

let database: FreshDatabase
let isReal = false
beforeAll(async () => {
  database = await freshDatabase()
  const found = await database.query("select 1 from pg_available_extensions where name = 'vector'")
  isReal = found.length > 0
  await database.query(
    isReal ? 'create extension vector' : [extension, ...['vector', 'halfvec', 'sparsevec'].map(inBytes)].join('\n'),
  )
})
afterAll(() => database.drop())

const types = { vector, halfvec: vector, sparsevec }
/** What pgvector has in C leaves nothing in a session, nor does what stands for it here. */
const harmless = Object.keys(types).flatMap((name) => ['in', 'out', 'recv', 'send'].map((way) => `${name}_${way}`))

function open(driver: 'pg' | 'socket', options: EngineOptions = { types }): Db {
  const db = createDb(database.url, { driver, functions: { harmless }, ...options })
  onTestFinished(async () => void (await db.close()))
  return db
}

/** What pgvector 0.8 makes of the text that the value has. */
const known = [
  ['vector', [0.1, 0.2], '000200003dcccccd3e4ccccd'],
  ['vector', [-0, 16777216, -1.5e-7, 3.4028235e38], '00040000800000004b800000b4210fb07f7fffff'],
  ['halfvec', [0.099975586, -2, 65504, 5.9604645e-8], '000400002e66c0007bff0001'],
  [
    'sparsevec',
    { dimensions: 3, values: { 1: 0.1, 3: 2 } },
    '00000003000000020000000000000000000000023dcccccd40000000',
  ],
  ['sparsevec', { dimensions: 7, values: {} }, '000000070000000000000000'],
] as const

/** What a first run, whose columns nobody knows, brings is text: it is of NULLs. */
async function read(db: Db, text: string, values: readonly unknown[]): Promise<unknown> {
  await db.first(
    text,
    values.map(() => null),
  )
  return db.first(text, [...values])
}

describe.skipIf(!wantedDrivers().includes('socket'))('in binary', () => {
  test.for(known)(
    '%s is written as the server would from its text, and read as from its text: %j',
    async ([type, value, hex]) => {
      const db = open('socket')
      const text = `select $1::${type} as one, $2::${type}[] as list, null::${type} as none`
      const values = [value, [value, null, value]]

      for (let run = 0; run < 3; run++)
        expect(await read(db, text, values)).toEqual({ one: value, list: values[1], none: null })
      for (const driver of ['socket', 'pg'] as const)
        expect(await open(driver).scalar(`select encode(${type}_send($1), 'hex')`, [value])).toBe(hex)
    },
  )

  test('numbers of a Float32Array are sent as they are', async () => {
    expect(await read(open('socket'), 'select $1::vector as v', [Float32Array.of(0.1, 2, -0)])).toEqual({
      v: [0.1, 2, -0],
    })
  })

  test('who reads the text in another way gets the text, and still writes in binary', async () => {
    const db = open('socket', { types: { vector: { ...vector, read: (text: string) => text.length } } })
    const v = isReal ? '[0.5]'.length : String.raw`\x000100003f000000`.length

    expect(await read(db, 'select $1::vector as v', [[0.5]])).toEqual({ v })
  })

  test('a list that a number is missing from is refused by name', async () => {
    await expect(open('socket').scalar('select $1::vector', [[1, null]])).rejects.toThrow(
      'A parameter of the type vector takes a list of numbers.',
    )
  })
})

test('a number of four bytes has the digits that the server writes for it', async () => {
  const floats = new Float32Array(sample({ once: 20_000, matrix: 200_000, soak: 500_000 }))
  const bits = new Uint32Array(floats.buffer)
  for (let i = 0; i < floats.length; i++) {
    // The places where the exponent changes, all numbers, and those that programs have.
    if (i < 765) bits[i] = (Math.floor(i / 3) << 23) + (i % 3) - 1
    else if (i % 3 === 0) bits[i] = Math.random() * 2 ** 32
    else if (i % 3 === 1) floats[i] = Math.random() - 0.5
    else floats[i] = Number((Math.random() * 10 ** (i % 9)).toPrecision(1 + (i % 8)))
    if (!Number.isFinite(floats[i])) floats[i] = i
  }
  const db = open('pg')
  const text = (await db.scalar<string>('select $1::float4[]::text', [[...floats]])) ?? ''

  const written = text.slice(1, -1).split(',')
  expect(written).toHaveLength(floats.length)
  const wrong = [...floats].filter((float, i) => !Object.is(shortest(float), Number(written[i])))
  expect(wrong).toEqual([])
})
