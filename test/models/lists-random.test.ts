/**
 * Lists of random loaders on random data, beside a plain model in memory: conditions, orders, limits, offsets, pages, locks, both
 * strategies, keys of one and of two columns, conditions by `on()` on tables that one side or both have joined, with and without an
 * index. `RUNS=50000` runs that many queries.
 */

import { and, asc, desc, eq, gt, type SQL, sql } from 'drizzle-orm'
import { type AnyPgColumn, customType, foreignKey, integer, numeric, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { fc } from '../support/fast-check.ts'
import type { Db } from 'genever'
import { type LoaderLike, many, Model, type ModelQuery, some } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { forEachDriver } from '../support/matrix.ts'

const queries = sample({ once: 80, matrix: 400, soak: 50_000 })
/** How many queries ask for the same rows. */
const each = queries > 1_000 ? 40 : 12

interface Parent {
  readonly id: number
  readonly key: string | null
  readonly part: number | null
  readonly mark: number | null
}
interface Kid {
  readonly id: number
  readonly parent: string | null
  readonly part: number | null
  readonly mark: number | null
  readonly n: number
}
interface Toy {
  readonly id: number
  readonly kid: number | null
}
interface Memory {
  readonly parents: readonly Parent[]
  readonly kids: readonly Kid[]
  readonly toys: readonly Toy[]
  /** Whether the server takes two keys for one. */
  readonly equal: (one: string, other: string) => boolean
  readonly composite: boolean
}

const kinds = ['text', 'numeric', 'uuid', 'insensitive', 'citext', 'mood', 'timestamptz', 'char'] as const
type Kind = (typeof kinds)[number]
/** Values of each kind; some are equal to others for the server alone, some for JavaScript alone. */
const values: Readonly<Record<Kind, readonly string[]>> = {
  text: ['a', 'A', '{b,"c"}', '\\', ''],
  numeric: ['1.0', '1.00', '2', '-3.5', '10000000000000000000'],
  uuid: [
    '00000000-0000-0000-0000-000000000001',
    '00000000-0000-0000-0000-000000000002',
    '00000000-0000-0000-0000-000000000003',
    '00000000-0000-0000-0000-000000000004',
    '00000000-0000-0000-0000-000000000005',
  ],
  insensitive: ['a', 'A', 'b', 'B', 'ü'],
  citext: ['a', 'A', 'b', 'B', ''],
  mood: ['sad', 'ok', 'glad', 'new', 'old'],
  timestamptz: [
    '2025-01-01 00:00:00.000001+00',
    '2025-01-01 00:00:00.000002+00',
    '2025-01-01 01:00:00.000001+01',
    '2025-01-02 00:00:00+00',
    'infinity',
  ],
  char: ['a', 'a ', 'b', 'c', ''],
}

const world = fc.record({
  kind: fc.constantFrom(...kinds),
  index: fc.boolean(),
  composite: fc.boolean(),
  keys: fc.array(
    fc.tuple(
      fc.option(fc.nat(4), { nil: null, freq: 6 }),
      fc.option(fc.nat(1), { nil: null, freq: 6 }),
      fc.option(fc.integer({ min: 1, max: 3 }), { nil: null, freq: 6 }),
    ),
    { maxLength: 7 },
  ),
  kids: fc.array(
    fc.record({
      parent: fc.option(fc.nat(4), { nil: null, freq: 5 }),
      part: fc.option(fc.nat(1), { nil: null, freq: 6 }),
      mark: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null, freq: 6 }),
      n: fc.nat(5),
    }),
    { maxLength: 16 },
  ),
  toys: fc.array(fc.option(fc.nat(16), { nil: null, freq: 5 }), { maxLength: 12 }),
})
type World = typeof world extends fc.Arbitrary<infer T> ? T : never

const asked = fc.record({
  down: fc.boolean(),
  limit: fc.option(fc.nat(4), { nil: null }),
  offset: fc.option(fc.nat(3), { nil: null }),
  above: fc.option(fc.nat(5), { nil: null }),
  some: fc.boolean(),
  /** By id, backwards, by the key as lists are by default, or by an own number and then the id. */
  listOrder: fc.constantFrom('up', 'down', 'key', 'key', 'number'),
  listLimit: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null }),
  nested: fc.boolean(),
  /** Objects of the inner list have the object that has them. */
  back: fc.boolean(),
  /** Two lists beside each other. */
  twice: fc.boolean(),
  separate: fc.boolean(),
  /**
   * By the foreign key; by the same as a condition; by the mark of the object that has the list, whose table one side has under
   * another name; or both by one name, which is refused.
   */
  by: fc.constantFrom('key', 'key', 'key', 'condition', 'outer', 'inner', 'both'),
  how: fc.constantFrom('all', 'all', 'first', 'pages', 'iterate'),
  lock: fc.constantFrom(null, null, 'wait', 'nowait', 'skip'),
  /** A row that another transaction has locked, where locked rows are left out. */
  held: fc.option(fc.integer({ min: 1, max: 7 }), { nil: null }),
})
type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never

forEachDriver((driver) => {
  test('random lists are those of a model in memory', { timeout: 60_000 + queries * 200 }, async () => {
    const db = await driver.db()
    const suffix = `${process.pid}_${driver.name}`
    await db.status(`create type mood_${suffix} as enum ('sad', 'ok', 'glad', 'new', 'old')`)
    await db.status(
      `create collation insensitive_${suffix} (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    )
    const types: Readonly<Record<Kind, string>> = {
      text: 'text',
      numeric: 'numeric',
      uuid: 'uuid',
      insensitive: `text collate insensitive_${suffix}`,
      citext: (await hasCitext(db)) ? 'citext' : 'text',
      mood: `mood_${suffix}`,
      timestamptz: 'timestamptz',
      char: 'char(3)',
    }
    const equals = new Map<string, boolean>()
    for (const kind of kinds)
      for (const one of values[kind])
        for (const other of values[kind]) {
          const [type = '', collate = ''] = types[kind].split(/ (?=collate)/)
          const query = `select $1::text::${type} ${collate} = $2::text::${type} ${collate}`
          equals.set(JSON.stringify([kind, one, other]), (await db.scalar<boolean>(query, [one, other])) === true)
        }

    let left = queries
    while (left > 0) {
      const seed = sampleSeed(0) + left
      const [given] = fc.sample(world, { numRuns: 1, seed })
      if (given === undefined) break
      const { kind, index, composite } = given
      const column = customType<{ data: string }>({ dataType: () => types[kind] })
      const key = kind === 'numeric' ? () => numeric() : kind === 'text' ? () => text() : () => column()
      const marks = pgTable(await driver.table('id serial primary key'), { id: serial().primaryKey() })
      const mark = () => integer().references(() => marks.id)
      const parents = pgTable(await driver.table(`id serial primary key, key ${types[kind]}, part int, mark int`), {
        id: serial().primaryKey(),
        key: key(),
        part: integer(),
        mark: mark(),
      })
      const kidTable = await driver.table(
        `id serial primary key, parent ${types[kind]}, part int, mark int, n int not null`,
      )
      if (index) await db.status(`create index on ${kidTable} (${composite ? 'part, parent' : 'parent'})`)
      const kids = pgTable(
        kidTable,
        {
          id: serial().primaryKey(),
          parent: composite ? key() : key().references((): AnyPgColumn => parents.key),
          part: integer(),
          mark: mark(),
          n: integer().notNull(),
        },
        (t) =>
          composite ? [foreignKey({ columns: [t.parent, t.part], foreignColumns: [parents.key, parents.part] })] : [],
      )
      const toyTable = await driver.table('id serial primary key, kid int')
      if (index) await db.status(`create index on ${toyTable} (kid)`)
      const toys = pgTable(toyTable, { id: serial().primaryKey(), kid: integer().references(() => kids.id) })
      class Owner extends Model(db, parents) {}
      class Child extends Model(db, kids) {}
      class Plaything extends Model(db, toys) {}
      class Mark extends Model(db, marks) {}
      const Other = Mark.alias('other mark')
      await Mark.createMany([{}, {}, {}])
      const memory = memoryOf(given, (one, other) => equals.get(JSON.stringify([kind, one, other])) === true)
      await Owner.createMany(memory.parents.map(({ key: of, part, mark: at }) => ({ key: of, part, mark: at })))
      await Child.createMany(memory.kids.map(({ parent, part, mark: at, n }) => ({ parent, part, mark: at, n })))
      await Plaything.createMany(memory.toys.map(({ kid }) => ({ kid })))
      // The rows of a table are not in the order of its key.
      for (const table of [kidTable, toyTable]) await db.status(`update ${table} set id = id where id % 3 = 1`)
      for (const ask of fc.sample(asked, { numRuns: each, seed })) {
        left--
        const condition = ask.above === null ? undefined : gt(Child.c.n, ask.above)
        const unordered = Child.where(condition)
        const list = {
          key: unordered,
          up: unordered.orderBy(asc(Child.c.id)),
          down: unordered.orderBy(desc(Child.c.id)),
          number: unordered.orderBy(Child.c.n, Child.c.id),
        }[ask.listOrder]
        const limited = ask.listLimit === null ? list : list.limit(ask.listLimit)
        const toysOf = many(ask.back ? Plaything.load({ of: Child }) : Plaything)
        const { by } = ask
        const outer = by === 'outer' ? Other : Mark
        const inside: Record<string, LoaderLike> = {
          ...(ask.nested ? { toys: toysOf } : {}),
          ...(by === 'key' ? {} : { mine: by === 'inner' ? Other : Mark }),
        }
        const listed = many(
          Object.keys(inside).length > 0 ? limited.load(Child.load(inside) as unknown as typeof Child) : limited,
        )
        const belong = composite
          ? and(eq(Child.c.parent, Owner.c.key), eq(Child.c.part, Owner.c.part))
          : eq(Child.c.parent, Owner.c.key)
        const on = by === 'condition' ? belong : eq(Child.c.mark, outer.c.id)
        const loader = Owner.load({
          ...(by === 'key' ? {} : { mine: outer }),
          kids: by === 'key' ? listed : listed.on(on as SQL),
          ...(ask.twice ? { others: many(Child.alias('other')) } : {}),
        })
        let query = Owner.query()
          .load(loader, { strategy: ask.separate && by === 'key' ? 'select-in' : 'joined' })
          .orderBy(ask.down ? desc(Owner.c.id) : asc(Owner.c.id))
        const narrowing: SQL | undefined = ask.some ? some(Owner, Child, condition) : undefined
        query = query.where(and(narrowing, sql`true`))
        if (ask.how === 'pages') query = query.limit((ask.limit ?? 1) + 1)
        else if (ask.limit !== null) query = query.limit(ask.limit)
        if (ask.offset !== null && ask.how !== 'pages') query = query.offset(ask.offset)
        const { lock } = ask
        if (lock !== null) query = query.forUpdate({ nowait: lock === 'nowait', skipLocked: lock === 'skip' })
        if (by === 'both') {
          const refused = await caught(query)
          expect(refused.message, JSON.stringify({ seed, given, ask })).toMatch(/in the list and in what has it/)
          continue
        }
        const held = lock === 'skip' && driver.most > 1 ? ask.held : null
        const found = await around(db, held === null ? null : Owner.where({ id: held }), lock !== null, () =>
          read(query, ask.how),
        )
        const seen = found.map((owner) => {
          const { id, kids: of, others } = owner as unknown as Loaded
          return {
            id,
            kids: of.map((kid) => ({
              id: kid.id,
              n: kid.n,
              toys: kid.toys?.map((toy) => [toy.id, ask.back ? toy.of?.id : null]) ?? null,
            })),
            others: others?.map((kid) => kid.id) ?? null,
          }
        })
        expect(seen, JSON.stringify({ seed, given, ask })).toEqual(expected(memory, ask, held))
      }
    }
  })
})

interface Loaded {
  readonly id: number
  readonly kids: readonly {
    readonly id: number
    readonly n: number
    readonly toys?: readonly { id: number; of?: { id: number } }[]
  }[]
  readonly others?: readonly { readonly id: number }[]
}

async function hasCitext(db: Db): Promise<boolean> {
  const there = await db.scalar("select 1 from pg_available_extensions where name = 'citext'")
  if (there !== undefined) await db.status('create extension if not exists citext')
  return there !== undefined
}

async function read<R>(query: ModelQuery<R>, how: Asked['how']): Promise<readonly R[]> {
  if (how === 'all') return query
  if (how === 'first') return [await query.first()].filter((found) => found !== undefined)
  const found: R[] = []
  if (how === 'iterate') for await (const row of query.iterate({ batchSize: 2 })) found.push(row)
  else
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = await query.after(cursor).page()
      found.push(...page.rows)
      cursor = page.cursor
    }
  return found
}

/** `held` is locked by another transaction meanwhile. */
async function around<T>(
  db: Db,
  held: { forUpdate(): PromiseLike<unknown> } | null,
  locks: boolean,
  work: () => Promise<T>,
): Promise<T> {
  if (held === null) return locks ? db.transaction(work) : work()
  return db.transaction(async () => {
    await held.forUpdate()
    return db.detached(() => db.transaction(work))
  })
}

function memoryOf({ kind, keys, kids, toys, composite }: World, equal: Memory['equal']): Memory {
  const valueAt = (at: number | null): string | null => (at === null ? null : (values[kind][at] as string))
  return {
    parents: keys.map(([at, part, mark], i) => ({ id: i + 1, key: valueAt(at), part, mark })),
    kids: kids.map(({ parent, ...kid }, i) => ({ id: i + 1, parent: valueAt(parent), ...kid })),
    toys: toys.map((kid, i) => ({ id: i + 1, kid })),
    equal,
    composite,
  }
}

function expected({ parents, kids, toys, equal, composite }: Memory, ask: Asked, held: number | null): unknown {
  const all = ({ key, part: of }: Parent): readonly Kid[] =>
    kids.filter(
      ({ parent, part }) =>
        key !== null && parent !== null && equal(parent, key) && (!composite || (part !== null && part === of)),
    )
  const above = ({ n }: Kid): boolean => ask.above === null || n > ask.above
  const belongs = (parent: Parent): Kid[] => all(parent).filter(above)
  const marked = ({ mark: own }: Parent): Kid[] =>
    kids.filter(({ mark }) => mark !== null && mark === own).filter(above)
  const byMark = ask.by === 'outer' || ask.by === 'inner'
  const objects = parents.filter((parent) => parent.id !== held && (!ask.some || belongs(parent).length > 0))
  if (ask.down) objects.reverse()
  const start = ask.how === 'pages' ? 0 : (ask.offset ?? 0)
  const most = ask.how === 'first' ? 1 : Infinity
  const limit = ask.how === 'pages' ? Infinity : (ask.limit ?? Infinity)
  return objects.slice(start, start + Math.min(limit, most)).map((parent) => {
    const list = byMark ? marked(parent) : belongs(parent)
    if (ask.listOrder === 'down') list.reverse()
    if (ask.listOrder === 'number') list.sort((one, other) => one.n - other.n || one.id - other.id)
    return {
      id: parent.id,
      kids: list.slice(0, ask.listLimit ?? Infinity).map(({ id, n }) => ({
        id,
        n,
        toys: ask.nested ? toys.filter(({ kid }) => kid === id).map((toy) => [toy.id, ask.back ? id : null]) : null,
      })),
      others: ask.twice ? all(parent).map(({ id }) => id) : null,
    }
  })
}
