/** A schema with everything that Drizzle can declare, made with whichever Drizzle is given. */

import type * as drizzle from 'drizzle-orm'
import type * as core from 'drizzle-orm/pg-core'

/** A Drizzle: the one of this project, or another one beside it. */
export interface Copy {
  readonly core: typeof core
  readonly orm: typeof drizzle
  readonly is1: boolean
}

/** Both versions at once: two dimensions are told in two ways. */
function square<Builder extends { array(): unknown }>(builder: Builder, is1: boolean): Builder {
  if (is1) return (builder as unknown as { array(dimensions: string): Builder }).array('[][]')
  return (builder.array() as { array(): Builder }).array()
}

export function wide({ core: pg, orm: { sql, gt, eq, isNotNull }, is1 }: Copy) {
  const shop = pg.pgSchema('shop')
  const mood = pg.pgEnum('mood', ['glad', "it's", 'a,b', 'back\\slash'])
  const size = shop.enum('Size of it', ['S', 'M'])
  const plain = pg.pgSequence('plain')
  const tickets = shop.sequence('tickets', {
    startWith: 1000,
    increment: 5,
    minValue: 10,
    maxValue: 100_000,
    cache: 3,
    cycle: true,
  })
  const down = pg.pgSequence('down', { increment: -2 })
  const citext = pg.customType<{ data: string }>({ dataType: () => 'varchar(40)', toDriver: (value) => value.trim() })

  const kinds = pg.pgTable('kinds', {
    id: pg.serial().primaryKey(),
    big: pg.bigserial({ mode: 'number' }),
    small: pg.smallserial(),
    short: pg.smallint().default(-3),
    int: pg.integer().notNull().default(7),
    bigNumber: pg.bigint('big_number', { mode: 'number' }).default(Number.MAX_SAFE_INTEGER),
    bigExact: pg.bigint({ mode: 'bigint' }).default(9_223_372_036_854_775_807n),
    exact: pg.numeric({ precision: 20, scale: 4 }).default('12345678901234.5678'),
    exactNumber: pg.numeric({ mode: 'number' }).default(-1.5),
    single: pg.real().default(0.25),
    double: pg.doublePrecision().default(-2.5),
    yes: pg.boolean().default(true),
    no: pg.boolean().notNull().default(false),
    words: pg.text().default('it\'s a "quoted" text'),
    blank: pg.text().default(''),
    limited: pg.varchar({ length: 20 }).default('short'),
    fixed: pg.char({ length: 3 }).default('abc'),
    uuid: pg.uuid().defaultRandom(),
    uuidFixed: pg.uuid('uuid_fixed').default('5b2f6f0e-6d5d-4f0b-9f0c-0d8e1f2a3b4c'),
    day: pg.date().default('2024-02-29'),
    dayDate: pg.date({ mode: 'date' }).default(new Date('2024-02-29')),
    today: pg.date().defaultNow(),
    clock: pg.time().default('10:20:30'),
    clockZone: pg.time({ withTimezone: true, precision: 3 }).default('10:20:30+02'),
    at: pg.timestamp().notNull().defaultNow(),
    atDate: pg.timestamp({ mode: 'date', precision: 3 }).default(new Date('2026-03-29T01:30:00.123Z')),
    atText: pg.timestamp({ mode: 'string' }).default('2026-03-29 01:30:00.123'),
    atZone: pg.timestamp({ withTimezone: true }).default(new Date('2026-03-29T01:30:00.123Z')),
    atZoneText: pg.timestamp({ withTimezone: true, mode: 'string' }).default('2026-03-29 01:30:00'),
    span: pg.interval().default('1 day 02:03:04'),
    data: pg
      .jsonb()
      .notNull()
      .default({ a: [1, 'two', null], deep: { is: "it's" } }),
    list: pg.jsonb().default(['x']),
    plainJson: pg.json('plain_json').default({ keeps: 'order', a: 1 }),
    spot: pg.point({ mode: 'xy' }).default({ x: 1.5, y: -2 }),
    spotTuple: pg.point({ mode: 'tuple' }).default([3, 4.25]),
    straight: pg.line({ mode: 'tuple' }).default([1, 2, 3]),
    straightNamed: pg.line({ mode: 'abc' }).default({ a: 1, b: 2, c: 3 }),
    address: pg.inet().default('10.0.0.1'),
    net: pg.cidr().default('10.0.0.0/8'),
    mac: pg.macaddr().default('08:00:2b:01:02:03'),
    mac8: pg.macaddr8().default('08:00:2b:01:02:03:04:05'),
    bits: pg.bit({ dimensions: 5 }).default('10101'),
    shout: citext(),
    feeling: mood().notNull().default('glad'),
    feelings: mood().array().default(['glad', 'a,b']),
    sizes: size().array(),
    size: size().default('M'),
    texts: pg.text().array().notNull().default([]),
    textsFull: pg.text().array().default(['plain', 'with "quotes"', 'comma, and {brace}', '']),
    limitedList: pg.varchar({ length: 5 }).array().default(['a', 'b']),
    ints: pg.integer().array().default([1, -2, 3]),
    grid: square(pg.integer(), is1),
    uuids: pg
      .uuid()
      .array()
      .default(sql`'{}'`),
    flags: pg.boolean().array().default([true, false]),
    functional: pg.text().$defaultFn(() => 'no DDL'),
    computed: pg.integer().generatedAlwaysAs(sql`length(words) + 1`),
    odd: pg.text('Odd name'),
    expression: pg.integer().default(sql`1 + 2`),
    ticket: pg.bigint({ mode: 'number' }).default(sql`nextval('shop.tickets'::regclass)`),
  })

  const people = pg.pgTable(
    'people',
    {
      id: pg.integer().primaryKey().generatedAlwaysAsIdentity(),
      other: pg
        .bigint({ mode: 'number' })
        .generatedByDefaultAsIdentity({ name: 'people_numbers', startWith: 100, increment: 10, cache: 2, cycle: true }),
      email: pg.text().notNull().unique(),
      phone: pg.text().unique('one_phone'),
      pass: pg.text().unique('one_pass', { nulls: 'not distinct' }),
      firstName: pg.text('first_name').notNull(),
      lastName: pg.text('last_name').notNull(),
      age: pg.integer(),
      managerId: pg.integer('manager_id').references((): core.AnyPgColumn => people.id, { onDelete: 'set null' }),
      homeId: pg.integer('home_id').references((): core.AnyPgColumn => homes.id, { onUpdate: 'cascade' }),
      whole: pg.text().generatedAlwaysAs((): drizzle.SQL => sql`${people.firstName} || ' ' || ${people.lastName}`),
    },
    (t) => [
      pg.unique().on(t.firstName, t.lastName),
      pg.unique('one_name').on(t.lastName, t.age).nullsNotDistinct(),
      pg.unique().on(t.age),
      pg.check('grown up', sql`${t.age} >= ${18} and ${t.firstName} <> ${"it's"}`),
      pg.index().on(t.lastName),
      pg.index('people_sorted').on(t.lastName.desc().nullsFirst(), t.firstName.asc().nullsFirst(), t.age.desc()),
      pg.index('people_lower').on(sql`lower(${t.email})`),
      pg
        .uniqueIndex('people_pattern')
        .on(t.email.op('text_pattern_ops'))
        .where(sql`${t.age} > ${21}`),
      pg.index('people_hash').using('hash', t.email),
      pg.index('people_filled').using('btree', t.age).with({ fillfactor: '70' }),
      pg.index('people_busy').on(t.age).concurrently(),
    ],
  )

  const homes = pg.pgTable('homes', {
    id: pg.integer().primaryKey(),
    ownerId: pg.integer('owner_id').references((): core.AnyPgColumn => people.id, { onDelete: 'cascade' }),
  })

  const orders = shop.table(
    'orders',
    {
      customer: pg.integer().notNull(),
      number: pg.integer().notNull(),
      placed: pg.timestamp({ withTimezone: true }).notNull().defaultNow(),
      tags: pg.jsonb().default({}),
      size: size(),
      code: pg.bigint({ mode: 'number' }).generatedAlwaysAsIdentity(),
    },
    (t) => ({
      key: pg.primaryKey({ columns: [t.customer, t.number] }),
      customers: pg.foreignKey({ columns: [t.customer], foreignColumns: [people.id], name: 'orders_customers' }),
      tags: pg.index('orders_tags').using('gin', t.tags),
      positive: pg.check('positive', sql`${t.number} > 0`),
    }),
  )

  const lines = shop.table(
    'a_rather_long_name_of_a_table_with_lines',
    {
      id: pg.uuid().primaryKey(),
      customer: pg.integer('the_customer_of_the_order').notNull(),
      number: pg.integer('the_number_of_the_order').notNull(),
      code: pg.text('a_code_for_the_line_of_the_order').unique(),
      counted: pg.integer('counted_by_a_sequence_of_its_own').generatedAlwaysAsIdentity(),
    },
    (t) => [
      pg
        .foreignKey({ columns: [t.customer, t.number], foreignColumns: [orders.customer, orders.number] })
        .onDelete('cascade')
        .onUpdate('restrict'),
    ],
  )

  const keyed = pg.pgTable('keyed', { a: pg.integer(), b: pg.text() }, (t) => [
    pg.primaryKey({ name: 'keyed_by', columns: [t.b, t.a] }),
  ])

  const notes = pg.pgTable(
    'notes',
    { id: pg.integer().primaryKey(), owner: pg.text().notNull(), body: pg.text() },
    (t) => [
      pg.pgPolicy('own notes', {
        as: 'permissive',
        for: 'all',
        to: 'public',
        using: sql`${t.owner} = current_user`,
        withCheck: sql`${t.owner} = current_user and ${t.body} <> ''`,
      }),
      pg.pgPolicy('few', { as: 'restrictive', for: 'select', to: ['public'], using: sql`true` }),
    ],
  )
  const locked = pg.pgTable('locked', { id: pg.integer().primaryKey() })
  locked.enableRLS()
  const linked = pg.pgPolicy('linked', { for: 'delete', to: 'public', using: sql`false` }).link(homes)

  const adults = pg
    .pgView('adults')
    .as((q) => q.select({ id: people.id, email: people.email }).from(people).where(gt(people.age, 17)))
  const recent = shop.view('recent').as((q) =>
    q
      .select({ customer: orders.customer, placed: orders.placed })
      .from(orders)
      .where(gt(orders.placed, new Date('2026-01-02T03:04:05.678Z'))),
  )
  const late = pg
    .pgView('late_view', { id: pg.integer() })
    .with({ securityBarrier: true, checkOption: 'local' })
    .as(sql`select ${people.id} from ${people} where ${people.email} = ${'o\'clock \\ "x"'}`)
  const early = pg.pgView('an_early', { id: pg.integer() }).as(sql`select id from ${late}`)
  const totals = shop
    .materializedView('totals')
    .with({ fillfactor: 70 })
    .as((q) => q.select({ customer: recent.customer }).from(recent).where(isNotNull(recent.placed)))
  const without = pg
    .pgMaterializedView('without', { id: pg.integer() })
    .withNoData()
    .as(sql`select id from people where ${eq(people.id, 1)}`)
  const described = pg.pgView('described_only', { id: pg.integer() }).existing()

  return {
    adults,
    lines,
    orders,
    people,
    homes,
    kinds,
    keyed,
    notes,
    locked,
    linked,
    shop,
    mood,
    size,
    plain,
    tickets,
    down,
    recent,
    late,
    early,
    totals,
    without,
    described,
  }
}
