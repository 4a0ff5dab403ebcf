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
import {
  asked,
  type Asked,
  expected,
  type Kind,
  kinds,
  meets,
  memoryOf,
  values,
  whole,
  world,
} from './support/random-lists.ts'

const queries = sample({ once: 120, matrix: 400, soak: 50_000 })
/** How many queries ask for the same rows. */
const each = queries > 1_000 ? 40 : 12

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
