/** Random changes of one row, by an instance and beside it, in transactions that are kept or rolled back; and a memory that knows what comes of them. */

import { sql } from 'drizzle-orm'
import type { Db } from 'genever'
import { expect } from 'vitest'
import { fc } from '../../support/fast-check.ts'

/** What a model of a test has: the key `id`, `name`, `n`, `profile`, and JSON properties in it. */
export interface Changing {
  readonly db: Db
  readonly Thing: ThingModel
  /** The row as it is stored. */
  readonly stored: (id: number) => Promise<Row | undefined>
  /** What the database does to a member of JSON that is set to null. */
  readonly nulls: 'stay' | 'go'
}

interface ThingModel {
  create(values: object): Promise<Thing>
  upsert(values: object): Promise<Thing>
  get(id: number): Promise<Thing | undefined>
  update(values: object): { where(filter: object): PromiseLike<number> }
}

interface Thing extends Row {
  update(values: object): PromiseLike<unknown>
  reload(): Promise<unknown>
}

interface Row {
  id: number
  name: string | null
  n: number
  profile: unknown
}

type Json = Record<string, unknown>
type Change = Partial<Record<'name' | 'n' | 'profile' | 'nick' | 'rank' | 'box' | 'list', unknown>>
type Step =
  | { readonly kind: 'update' | 'beside' | 'upsert'; readonly change: Change }
  | { readonly kind: 'more' | 'reload' }
  | Nested

interface Nested {
  readonly kind: 'transaction'
  readonly kept: boolean
  readonly steps: readonly Step[]
}

const texts = fc.constantFrom('', 'a', '\\', `q'"`, '😀\u2028')
const boxes = fc.constantFrom<unknown>(
  {},
  { a: 1 },
  { a: { b: 2 } },
  { a: { b: null, c: 'x' }, d: null },
  { a: [1, null] },
  { d: { e: { f: 1 } } },
  { '': 1, a: {} },
)
const change: fc.Arbitrary<Change> = fc.record(
  {
    nick: fc.option(texts),
    name: fc.option(texts),
    rank: fc.option(fc.nat(3)),
    box: fc.option(boxes),
    list: fc.option(fc.constantFrom<unknown>([], [1, null], [{ a: null }])),
    n: fc.nat(9),
    profile: fc.constantFrom<unknown>({}, { nick: 'whole', kept: null }, { box: { w: 1 }, rank: 9 }),
  },
  { requiredKeys: [] },
)
/** In another order of keys: which one stands first may not matter. */
const anyOrder: fc.Arbitrary<Change> = fc
  .tuple(change, fc.array(fc.nat(), { minLength: 7, maxLength: 7 }))
  .map(([given, places]) =>
    Object.fromEntries(
      Object.entries(given)
        .map((entry, at) => [places[at] as number, entry] as const)
        .toSorted(([a], [b]) => a - b)
        .map(([, entry]) => entry),
    ),
  )

const { steps } = fc.letrec<{ steps: Step[]; step: Step }>((tie) => ({
  steps: fc.array(tie('step'), { maxLength: 6, depthIdentifier: 'transactions' }),
  step: fc.oneof(
    { depthIdentifier: 'transactions', maxDepth: 3 },
    fc.record({
      kind: fc.constantFrom('update', 'update', 'beside', 'upsert'),
      change: anyOrder,
    }) as fc.Arbitrary<Step>,
    fc.record({ kind: fc.constantFrom('more', 'reload') }) as fc.Arbitrary<Step>,
    fc.record({ kind: fc.constant('transaction'), kept: fc.boolean(), steps: tie('steps') }) as fc.Arbitrary<Step>,
  ),
}))

export const changes: fc.Arbitrary<readonly [Change, readonly Step[]]> = fc.tuple(anyOrder, steps)

/** The instance, one that is read, and what is stored are what the memory says, after each step. */
export async function run(world: Changing, id: number, first: Change, all: readonly Step[]): Promise<void> {
  const { db, Thing, stored, nulls } = world
  const thing = await Thing.create({ id, ...first })
  const begun = await stored(id)
  expect(shown(thing)).toEqual(begun)
  let truth = begun as Row

  const take = async (step: Step): Promise<void> => {
    switch (step.kind) {
      case 'update':
        await thing.update(step.change)
        truth = changed(truth, step.change, nulls)
        break
      case 'more':
        await thing.update({ n: sql`n + 1` })
        truth = { ...truth, n: truth.n + 1 }
        break
      case 'beside':
        if (Object.keys(step.change).length > 0) expect(await Thing.update(step.change).where({ id })).toBe(1)
        truth = changed(truth, step.change, nulls)
        await thing.reload()
        break
      case 'upsert':
        truth = changed(truth, step.change, nulls)
        expect(shown(await Thing.upsert({ id, ...step.change }))).toEqual(truth)
        await thing.reload()
        break
      case 'reload':
        await thing.reload()
        break
      case 'transaction': {
        const before = truth
        await db.transaction(async (tx) => {
          for (const inner of step.steps) await take(inner)
          if (!step.kept) tx.raiseRollback()
        })
        if (!step.kept) truth = before
      }
    }
    expect(shown(thing)).toEqual(truth)
  }
  for (const step of all) await take(step)
  expect(await stored(id)).toEqual(truth)
  expect(shown((await Thing.get(id)) as Thing)).toEqual(truth)
}

const shown = ({ id, name, n, profile }: Row): Row => ({ id, name, n, profile })

const members = ['nick', 'rank', 'box', 'list'] as const

function changed(row: Row, { name, n, profile, ...given }: Change, nulls: Changing['nulls']): Row {
  const whole = profile === undefined ? row.profile : profile
  const next: Row = {
    ...row,
    ...(name === undefined ? {} : { name: name as string | null }),
    ...(n === undefined ? {} : { n: n as number }),
    profile: whole,
  }
  const set = members.filter((key) => given[key] !== undefined)
  if (set.length === 0) return next
  const object: Json = { ...(isObject(whole) ? whole : {}) }
  for (const key of set) {
    const value = given[key]
    if (profile === undefined && value === null && nulls === 'go') delete object[key]
    else object[key] = profile === undefined && isObject(value) ? merged(object[key], value, nulls) : value
  }
  return { ...next, profile: object }
}

function merged(into: unknown, given: Json, nulls: Changing['nulls']): Json {
  const object: Json = { ...(isObject(into) ? into : {}) }
  for (const [key, value] of Object.entries(given))
    if (value === null && nulls === 'go') delete object[key]
    else object[key] = isObject(value) ? merged(object[key], value, nulls) : value
  return object
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
