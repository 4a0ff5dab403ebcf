/**
 * Lists of random loaders on random data, beside a plain model in memory: conditions, orders, limits, offsets, pages, locks, both
 * strategies, keys of one and of two columns, conditions by `on()` on tables that one side or both have joined, with and without an
 * index, views without keys, tables in between, the table itself, tuples, lists of three levels, rows that another transaction has
 * locked. `RUNS=50000` runs that many queries.
 */

import { and, asc, desc, eq, gt, inArray, type SQL, sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  customType,
  foreignKey,
  integer,
  numeric,
  pgTable,
  pgView,
  primaryKey,
  serial,
  text,
} from 'drizzle-orm/pg-core'
import { fc } from '../support/fast-check.ts'
import type { Db } from 'genever'
import { type LoaderLike, type LoadOptions, many, Model, type ModelQuery, some } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { forEachDriver } from '../support/matrix.ts'

const queries = sample({ once: 120, matrix: 400, soak: 50_000 })
/** How many queries ask for the same rows. */
const each = queries > 1_000 ? 40 : 12

interface Parent {
  readonly id: number
  readonly key: string | null
  readonly part: number | null
  readonly mark: number | null
  readonly boss: number | null
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
interface Bit {
  readonly id: number
  readonly toy: number | null
}
interface Memory {
  readonly bits: readonly Bit[]
  /** Of a parent and a kid, in their order. */
  readonly links: readonly (readonly [number, number])[]
  readonly parents: readonly Parent[]
  readonly kids: readonly Kid[]
  readonly toys: readonly Toy[]
  /** Whether the server takes two keys for one. */
  readonly equal: (one: string, other: string) => boolean
  readonly composite: boolean
}

const kinds = [
  'text',
  'numeric',
  'uuid',
  'insensitive',
  'citext',
  'mood',
  'timestamptz',
  'char',
  'integer',
  'bigint',
] as const
type Kind = (typeof kinds)[number]
/** Rows of lists are paired by these in JavaScript. */
const whole: readonly Kind[] = ['integer', 'bigint']
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
  integer: ['0', '1', '-1', '2147483647', '-2147483648'],
  bigint: ['9007199254740992', '9007199254740993', '-9007199254740993', '0', '9223372036854775807'],
}

const world = fc.record({
  kind: fc.oneof(fc.constantFrom(...kinds), fc.constantFrom(...whole)),
  index: fc.boolean(),
  composite: fc.boolean(),
  keys: fc.array(
    fc.tuple(
      fc.option(fc.nat(4), { nil: null, freq: 6 }),
      fc.option(fc.nat(1), { nil: null, freq: 6 }),
      fc.option(fc.integer({ min: 1, max: 3 }), { nil: null, freq: 6 }),
      fc.option(fc.nat(6), { nil: null, freq: 3 }),
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
  bits: fc.array(fc.option(fc.nat(12), { nil: null, freq: 5 }), { maxLength: 12 }),
  links: fc.uniqueArray(fc.tuple(fc.nat(6), fc.nat(15)), { maxLength: 12, selector: String }),
})
type World = typeof world extends fc.Arbitrary<infer T> ? T : never

const asked = fc.record({
  /** All objects, or those with some ids, with whole lists, and nothing else. */
  plain: fc.boolean(),
  ids: fc.option(fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 5 }), { nil: null }),
  down: fc.boolean(),
  limit: fc.option(fc.nat(4), { nil: null }),
  offset: fc.option(fc.nat(3), { nil: null }),
  above: fc.option(fc.nat(5), { nil: null }),
  some: fc.boolean(),
  /** By id, backwards, by the key as lists are by default, or by an own number and then the id. */
  listOrder: fc.constantFrom('up', 'down', 'key', 'key', 'number'),
  listLimit: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null }),
  nested: fc.boolean(),
  toyLimit: fc.option(fc.integer({ min: 1, max: 2 }), { nil: null }),
  /** A third level. */
  bits: fc.boolean(),
  /** What has the list is a view without a key, or what is listed. */
  view: fc.constantFrom(null, null, 'owner', 'child', 'both'),
  /** A list by a table in between, and the rows of that. */
  linked: fc.boolean(),
  /** One object and a list of the table itself. */
  self: fc.boolean(),
  /** The object stands in a tuple. */
  tuple: fc.boolean(),
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
  /** A row that another transaction has locked, where locked rows are left out or refused. */
  held: fc.option(fc.integer({ min: 1, max: 7 }), { nil: null }),
})
type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never

/** What a plain query leaves out. */
const plainly = {
  limit: null,
  offset: null,
  some: false,
  listLimit: null,
  nested: false,
  view: null,
  separate: false,
  by: 'key',
  lock: null,
  held: null,
} as const satisfies Partial<Asked>

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
      integer: 'integer',
      bigint: 'bigint',
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
      const key =
        kind === 'numeric'
          ? () => numeric()
          : kind === 'integer'
            ? () => integer()
            : kind === 'bigint'
              ? () => bigint({ mode: 'bigint' })
              : kind === 'text'
                ? () => text()
                : () => column()
      const keyFor = (of: string | null): string | null =>
        of !== null && whole.includes(kind) ? ((kind === 'bigint' ? BigInt(of) : Number(of)) as unknown as string) : of
      const marks = pgTable(await driver.table('id serial primary key'), { id: serial().primaryKey() })
      const mark = () => integer().references(() => marks.id)
      const parentTable = await driver.table(`id serial primary key, key ${types[kind]}, part int, mark int, boss int`)
      const parents = pgTable(parentTable, {
        id: serial().primaryKey(),
        key: key(),
        part: integer(),
        mark: mark(),
        boss: integer().references((): AnyPgColumn => parents.id),
      })
      await db.status(`create view ${parentTable}_view as select * from ${parentTable}`)
      const parentView = pgView(`${parentTable}_view`, {
        id: integer().notNull(),
        key: key(),
        part: integer(),
        mark: integer(),
        boss: integer(),
      }).existing()
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
      await db.status(`create view ${kidTable}_view as select * from ${kidTable}`)
      const kidView = pgView(`${kidTable}_view`, {
        id: integer().notNull(),
        parent: key(),
        part: integer(),
        mark: integer(),
        n: integer().notNull(),
      }).existing()
      const bits = pgTable(await driver.table('id serial primary key, toy int'), {
        id: serial().primaryKey(),
        toy: integer().references(() => toys.id),
      })
      const links = pgTable(
        await driver.table('parent int, kid int, primary key (parent, kid)'),
        {
          parent: integer()
            .notNull()
            .references(() => parents.id),
          kid: integer()
            .notNull()
            .references(() => kids.id),
        },
        (t) => [primaryKey({ columns: [t.parent, t.kid] })],
      )
      class Bit extends Model(db, bits) {}
      class Link extends Model(db, links, { pk: ['parent', 'kid'] }) {}
      class ParentView extends Model(db, parentView, { pk: [] }) {}
      class KidView extends Model(db, kidView, { pk: [] }) {}
      class Owner extends Model(db, parents) {}
      class Child extends Model(db, kids) {}
      class Plaything extends Model(db, toys) {}
      class Mark extends Model(db, marks) {}
      const Other = Mark.alias('other mark')
      await Mark.createMany([{}, {}, {}])
      const memory = memoryOf(given, (one, other) => equals.get(JSON.stringify([kind, one, other])) === true)
      await Owner.createMany(
        memory.parents.map(({ key: of, part, mark: at, boss }) => ({ key: keyFor(of), part, mark: at, boss })),
      )
      await Child.createMany(
        memory.kids.map(({ parent, part, mark: at, n }) => ({ parent: keyFor(parent), part, mark: at, n })),
      )
      await Plaything.createMany(memory.toys.map(({ kid }) => ({ kid })))
      await Bit.createMany(memory.bits.map(({ toy }) => ({ toy })))
      await Link.createMany(memory.links.map(([parent, kid]) => ({ parent, kid })))
      // The rows of a table are not in the order of its key.
      for (const table of [kidTable, toyTable]) await db.status(`update ${table} set id = id where id % 3 = 1`)
      for (const sampled of fc.sample(asked, { numRuns: each, seed })) {
        left--
        const ask: Asked = sampled.plain
          ? { ...sampled, ...plainly, how: sampled.how === 'first' ? 'first' : 'all' }
          : sampled
        const { view } = ask
        const [ofView, asView] = [view === 'owner' || view === 'both', view === 'child' || view === 'both']
        const Has = (ofView ? ParentView : Owner) as unknown as typeof Owner
        const Kids = (asView ? KidView : Child) as unknown as typeof Child
        // Views have no foreign keys.
        const by = view !== null && ask.by === 'key' ? 'condition' : ask.by
        const condition = ask.above === null ? undefined : gt(Kids.c.n, ask.above)
        const unordered = Kids.where(condition)
        const list = {
          key: asView ? unordered.orderBy(Kids.c.id) : unordered,
          up: unordered.orderBy(asc(Kids.c.id)),
          down: unordered.orderBy(desc(Kids.c.id)),
          number: unordered.orderBy(Kids.c.n, Kids.c.id),
        }[ask.listOrder]
        const limited = ask.listLimit === null ? list : list.limit(ask.listLimit)
        const toyParts: Record<string, LoaderLike> = {
          ...(ask.back ? { of: Child } : {}),
          ...(ask.bits ? { bits: many(Bit) } : {}),
        }
        const someToys =
          ask.toyLimit === null
            ? many(Plaything.load(toyParts))
            : many(Plaything.query().load(Plaything.load(toyParts)).orderBy(desc(Plaything.c.id)).limit(ask.toyLimit))
        const toysOf = asView ? someToys.on(eq(Plaything.c.kid, Kids.c.id)) : someToys
        // An alias has all that is used of the model here.
        const outer = (by === 'outer' ? Other : Mark) as typeof Mark
        const inner = (by === 'inner' ? Other : Mark) as typeof Mark
        const inside: Record<string, LoaderLike> = {
          ...(ask.nested ? { toys: toysOf } : {}),
          ...(by === 'key' ? {} : { mine: asView ? inner.on(eq(Kids.c.mark, inner.c.id)) : inner }),
        }
        const listed = many(
          Object.keys(inside).length > 0 ? limited.load(Kids.load(inside) as unknown as typeof Child) : limited,
        )
        const belongs = (to: { readonly parent: typeof Kids.c.parent; readonly part: typeof Kids.c.part }): SQL =>
          (composite ? and(eq(to.parent, Has.c.key), eq(to.part, Has.c.part)) : eq(to.parent, Has.c.key)) as SQL
        const on = by === 'condition' ? belongs(Kids.c) : eq(Kids.c.mark, outer.c.id)
        const Another = Child.alias('other')
        const Boss = Owner.alias('boss')
        const Minion = Owner.alias('minion')
        const members: Record<string, LoaderLike> = {
          ...(by === 'key' ? {} : { mine: ofView ? outer.on(eq(Has.c.mark, outer.c.id)) : outer }),
          kids: by === 'key' ? listed : listed.on(on),
          ...(ask.twice ? { others: ofView ? many(Another).on(belongs(Another.c)) : many(Another) } : {}),
          ...(ask.linked && !ofView
            ? { linked: many(Child.alias('linked'), { through: Link }), pairs: many(Link) }
            : {}),
          ...(ask.self
            ? {
                chief: ofView ? Boss.on(eq(Has.c.boss, Boss.c.id)) : Boss,
                minions: ofView ? many(Minion).on(eq(Minion.c.boss, Has.c.id)) : many(Minion),
              }
            : {}),
        }
        const separate = ask.separate && by === 'key'
        const tuple = ask.tuple && !separate
        const loader: unknown = Has.load(members)
        const shown = tuple ? [loader, Has.c.id] : loader
        let query = (Has.query() as unknown as Asking)
          .load(shown, { strategy: separate ? 'select-in' : 'joined' })
          .orderBy(ask.down ? desc(Has.c.id) : asc(Has.c.id))
        const narrowing: SQL | undefined = ask.some && view === null ? some(Owner, Child, condition) : undefined
        const [only, more] = ask.ids ?? []
        if (narrowing === undefined && only !== undefined && more === undefined)
          query = query.where({ id: only } as never)
        else query = query.where(and(narrowing, ask.ids === null ? sql`true` : inArray(Has.c.id, ask.ids)))
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
        const held = lock !== null && lock !== 'wait' && driver.most > 1 ? ask.held : null
        const about = JSON.stringify({ seed, given, ask })
        const answer = around(db, held === null ? null : Owner.where({ id: held }), lock !== null, () =>
          read(query, ask.how),
        )
        const asked: Asked = { ...ask, by, some: ask.some && view === null, linked: ask.linked && !ofView }
        if (ofView && ask.how === 'pages') {
          expect((await caught(answer)).message, about).toMatch(/needs a primary key/)
          continue
        }
        if (lock === 'nowait' && held !== null && meets(memory, asked, held)) {
          expect(await caught(answer), about).toMatchObject({ name: 'LockTimeoutError' })
          continue
        }
        const found = await answer
        const seen = found.map((each) => {
          const [owner, beside] = tuple ? (each as readonly [unknown, number]) : [each, undefined]
          const { id, kids: of, others, linked, pairs, chief, minions } = owner as Loaded
          if (tuple) expect(beside, about).toBe(id)
          return {
            id,
            linked: linked?.map((kid) => kid.id) ?? null,
            pairs: pairs?.map((pair) => pair.kid) ?? null,
            chief: ask.self ? (chief?.id ?? null) : 'not asked',
            minions: minions?.map((one) => one.id) ?? null,
            kids: of.map((kid) => ({
              id: kid.id,
              n: kid.n,
              toys:
                kid.toys?.map((toy) => [
                  toy.id,
                  ask.back ? toy.of?.id : null,
                  toy.bits?.map((bit) => bit.id) ?? null,
                ]) ?? null,
            })),
            others: others?.map((kid) => kid.id) ?? null,
          }
        })
        expect(seen, about).toEqual(expected(memory, asked, lock === 'skip' ? held : null))
      }
    }
  })
})

/** A query without the types of what it loads. */
interface Asking {
  load(loader: unknown, options: LoadOptions): ModelQuery<unknown, never>
}

interface Loaded {
  readonly id: number
  readonly kids: readonly {
    readonly id: number
    readonly n: number
    readonly toys?: readonly { id: number; of?: { id: number }; bits?: readonly { id: number }[] }[]
  }[]
  readonly linked?: readonly { readonly id: number }[]
  readonly pairs?: readonly { readonly kid: number }[]
  readonly chief?: { readonly id: number } | null
  readonly minions?: readonly { readonly id: number }[]
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

function memoryOf({ kind, keys, kids, toys, bits, links, composite }: World, equal: Memory['equal']): Memory {
  const valueAt = (at: number | null): string | null => (at === null ? null : (values[kind][at] as string))
  return {
    parents: keys.map(([at, part, mark, boss], i) => ({
      id: i + 1,
      key: valueAt(at),
      part,
      mark,
      boss: boss === null || keys.length === 0 ? null : (boss % keys.length) + 1,
    })),
    kids: kids.map(({ parent, ...kid }, i) => ({ id: i + 1, parent: valueAt(parent), ...kid })),
    toys: toys.map((kid, i) => ({ id: i + 1, kid })),
    bits: bits.map((toy, i) => ({ id: i + 1, toy })),
    links: links
      .filter(([parent, kid]) => parent < keys.length && kid < kids.length)
      .map(([parent, kid]) => [parent + 1, kid + 1] as const)
      .toSorted(([one, first], [other, second]) => one - other || first - second),
    equal,
    composite,
  }
}

/** Whether the row that another transaction has is among those that a query looks at until it has all it is asked for. */
function meets(memory: Memory, ask: Asked, held: number): boolean {
  const all = ask.how === 'pages' || ask.how === 'iterate'
  const most = ask.how === 'first' ? 1 : Infinity
  const limit = Math.min(ask.how === 'pages' ? Infinity : (ask.limit ?? Infinity), most)
  const start = ask.how === 'pages' ? 0 : (ask.offset ?? 0)
  const seen = expected(memory, { ...ask, how: 'all', limit: null, offset: null }, null) as readonly { id: number }[]
  const looked = all && ask.limit === null ? seen : seen.slice(0, limit === 0 ? 0 : start + limit)
  return looked.some(({ id }) => id === held)
}

function expected(memory: Memory, ask: Asked, held: number | null): unknown {
  const { parents, kids, toys, bits, links, equal, composite } = memory
  const all = ({ key, part: of }: Parent): readonly Kid[] =>
    kids.filter(
      ({ parent, part }) =>
        key !== null && parent !== null && equal(parent, key) && (!composite || (part !== null && part === of)),
    )
  const toysOf = (id: number): readonly Toy[] => {
    const own = toys.filter(({ kid }) => kid === id)
    return ask.toyLimit === null ? own : own.toReversed().slice(0, ask.toyLimit)
  }
  const bitsOf = (id: number): readonly number[] | null =>
    ask.bits ? bits.filter(({ toy }) => toy === id).map((bit) => bit.id) : null
  const above = ({ n }: Kid): boolean => ask.above === null || n > ask.above
  const belongs = (parent: Parent): Kid[] => all(parent).filter(above)
  const marked = ({ mark: own }: Parent): Kid[] =>
    kids.filter(({ mark }) => mark !== null && mark === own).filter(above)
  const byMark = ask.by === 'outer' || ask.by === 'inner'
  const objects = parents.filter(
    (parent) =>
      parent.id !== held &&
      (ask.ids === null || ask.ids.includes(parent.id)) &&
      (!ask.some || belongs(parent).length > 0),
  )
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
        toys: ask.nested ? toysOf(id).map((toy) => [toy.id, ask.back ? id : null, bitsOf(toy.id)]) : null,
      })),
      others: ask.twice ? all(parent).map(({ id }) => id) : null,
      linked: ask.linked ? links.filter(([of]) => of === parent.id).map(([, kid]) => kid) : null,
      pairs: ask.linked ? links.filter(([of]) => of === parent.id).map(([, kid]) => kid) : null,
      chief: ask.self ? parent.boss : 'not asked',
      minions: ask.self ? parents.filter(({ boss }) => boss === parent.id).map(({ id }) => id) : null,
    }
  })
}
