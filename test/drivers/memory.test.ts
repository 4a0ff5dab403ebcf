/** The sessions of all PostgreSQL drivers, over a wire in memory with eight units in flight: the contract whole. */

import { PGlite } from '@electric-sql/pglite'
import fc from 'fast-check'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { driverContract as rulesOf } from '../../src/driver/contract.ts'
import type { Driver } from '../../src/driver/driver.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { memoryDriver } from '../support/memory-wire.ts'
import { driverContract } from './contract/contract.ts'
import { closeAll, connect, later, type TestConnection, type TestOp } from './test-connection.ts'
import { inFlightContract } from './in-flight.ts'

const many = 8
let server: Promise<PGlite> | undefined
const pglite = (): Promise<PGlite> => (server ??= PGlite.create())
const subject = {
  name: 'memory',
  driver: memoryDriver(pglite, many) as Driver,
  options: (): Promise<Record<string, unknown>> => Promise.resolve({}),
}

afterAll(async () => (await server)?.close())

driverContract(subject)
inFlightContract(subject, many)

describe('memory: the rules for drivers of your own', () => {
  const read = { sql: 'select $1::int as one', params: [1], rows: [{ one: 1 }] }

  test.each(rulesOf({ driver: subject.driver, read, refused: 'fail at once', timeoutMs: 30_000 }))('$name', (rule) =>
    rule.run(),
  )
})

describe('memory: units in flight', () => {
  afterEach(closeAll)

  type Unit = readonly (readonly [text: string, params?: readonly unknown[], maxRows?: number])[]

  const units: readonly Unit[] = [
    [['select $1::int as n', [1]]],
    [['select v from kept order by id']],
    [['select v from kept where id = any($1)', [[1, 2]]]],
    [['select $1::jsonb as j', [{ a: [1] }]]],
    [['insert into kept (v) values ($1) returning v', ['new']]],
    [['insert into kept (v) values ($1)', ['lost']], ['select 1 / $1::int', [0]], ['select 2']],
    [['select generate_series(1, 9) as s', [], 3]],
    [['selec']],
    [['select nothing']],
    [['select $1::text', ['\0']]],
    [['begin'], ['savepoint s'], ['select 3 as three']],
    [['begin']],
    [['commit']],
    [['rollback']],
    [['select 1; select 2 as two']],
    [['set search_path to other, public']],
    [['set search_path to public']],
    [['alter table kept add column b int'], ['alter table kept drop column b']],
    [['deallocate all']],
    [["set work_mem to '1MB'"], ['show work_mem']],
    [],
  ]

  /** What became of each operation, with so many units at a time. */
  async function played(program: readonly (readonly [unit: number, named: boolean])[], together: number) {
    const c: TestConnection = await connect(subject.driver, {})
    await c.run(`create schema if not exists other; create table if not exists other.kept (id int, v text);
      drop table if exists public.kept; create table public.kept (id serial, v text);
      insert into kept (v) values ('one'), ('two')`)
    const ops: TestOp[] = []
    for (let from = 0; from < program.length; from += together) {
      for (const [unit, named] of program.slice(from, from + together)) {
        const some = (units[unit] as Unit).map(([text, params, maxRows]) =>
          c.op(named ? c.named(text) : text, params, { maxRows: maxRows ?? 0 }),
        )
        c.raw.submitUnit({ ops: some })
        ops.push(...some)
      }
      await Promise.all(ops.map(({ settled }) => settled))
      // A unit without operations has nothing to wait for.
      while (c.raw.inFlight > 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const ends = ops.map(({ end, rows }) => [end, rows])
    const left = [c.raw.status, c.raw.alive, await c.raw.reset(0, later()), await c.rows('select v from public.kept')]
    await closeAll()
    return [ends, left]
  }

  test('have the answers that they have one after the other, whatever they are', async () => {
    const step = fc.tuple(fc.nat({ max: units.length - 1 }), fc.boolean())
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 24 }), async (program) => {
        expect(await played(program, many)).toEqual(await played(program, 1))
      }),
      { seed: sampleSeed(1), numRuns: sample({ once: 20, matrix: 60, soak: 500 }) },
    )
  })
})
