/** A schema for each tenant: nothing is read or written elsewhere, whatever the names, the nesting and what goes wrong. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { createDb, QueryError, SchemaNotFoundError, TenantError, TransactionStateError, UsageError } from 'genever'
import { Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { createAll } from 'genever/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const table = pgTable('notes', { id: integer().primaryKey(), body: text() })

let database: FreshDatabase

const tenants = ['a', 'b', 'c']
const filled = (schema: string): string =>
  `create schema "${schema}"; create table "${schema}".notes (id int primary key, body text); insert into "${schema}".notes values (1, '${schema}');`

beforeAll(async () => {
  database = await freshDatabase(
    `create table notes (id int primary key, body text); insert into notes values (1, 'public');${tenants.map(filled).join('')}`,
  )
})
afterAll(() => database.drop())

function setUp(more: { readonly optional?: boolean; readonly shared?: readonly string[] } = {}) {
  const db = createRegistry({
    main: { url: database.url, pool: { max: 4 } },
    tenancy: { schema: (id: string) => id, ...more },
  })
  class Note extends Model(db, table) {}
  return { db, Note, [Symbol.asyncDispose]: async () => void (await db.close({ force: true })) }
}

const body = 'select body from notes'

describe('withTenant', () => {
  test('text, queries, models and transactions inside read and write the schema of the tenant', async () => {
    await using at = setUp()
    const { db, Note } = at
    const seen = await db.withTenant('a', async () => [
      await db.scalar(body),
      (await db.sql<{ body: string }>`select body from notes`.one()).body,
      (await Note.getOr404(1)).body,
      await db.transaction((tx) => tx.scalar(body)),
      await db.scope(() => db.scalar(body)),
      db.tenant,
    ])

    expect(seen).toEqual(['a', 'a', 'a', 'a', 'a', 'a'])
    expect(db.tenant).toBeUndefined()
  })

  test('two tenants side by side see their own rows, on as many connections as there are', async () => {
    await using at = setUp()
    const seen = await Promise.all(
      Array.from({ length: 60 }, (_, n) => {
        const tenant = tenants[n % 3] as string
        return at.db.withTenant(tenant, async () => [
          tenant,
          await at.db.scalar(body),
          (await at.Note.query().one()).body,
        ])
      }),
    )

    expect(seen.filter(([tenant, ...rows]) => rows.some((row) => row !== tenant))).toEqual([])
  })

  test('the next borrower of the connection is at no tenant', async () => {
    const db = createRegistry({
      main: { url: database.url, pool: { max: 1 } },
      tenancy: { schema: (id: string) => id },
    })
    await db.withTenant('a', () => db.scalar(body))
    await caught(db.withTenant('a', () => db.transaction(() => db.all('select 1/0'))))

    expect(await db.scalar(body)).toBe('public')
    expect(await db.scalar('show search_path')).toBe('"$user", public')
    await db.close()
  })

  test('the path is the schema, what is shared, and pg_temp; never public by itself', async () => {
    await using plain = setUp()
    await using shared = setUp({ shared: ['b'] })

    expect(await plain.db.withTenant('a', () => plain.db.scalar('show search_path'))).toBe('a, pg_temp')
    expect(await shared.db.withTenant('a', () => shared.db.scalar('show search_path'))).toBe('a, b, pg_temp')
    await plain.db.status('create table only_public (id int)')
    expect(await caught(plain.db.withTenant('a', () => plain.db.all('select * from only_public')))).toBeInstanceOf(
      QueryError,
    )
  })

  test('a temporary table does not hide that of the tenant', async () => {
    await using at = setUp()
    const seen = await at.db.withTenant('a', () =>
      at.db.transaction(async (tx) => {
        await tx.status("create temporary table notes on commit drop as select 1 as id, 'temporary' as body")
        return tx.scalar(body)
      }),
    )

    expect(seen).toBe('a')
  })

  test('undefined is refused, and only null means none', async () => {
    await using at = setUp()
    const { db, Note } = at

    expect(await caught(db.withTenant(undefined as never, () => 1))).toBeInstanceOf(TenantError)
    expect(
      await db.withTenant(null, async () => [await db.scalar(body), db.tenant, (await Note.getOr404(1)).body]),
    ).toEqual(['public', null, 'public'])
  })

  test('models outside of a tenant throw, unless tenancy is optional; text does not', async () => {
    await using strict = setUp()
    await using optional = setUp({ optional: true })
    const { Note } = strict

    for (const use of [
      () => Note.get(1),
      () => Note.query().all(),
      () => Note.query().count(),
      () => Note.query().one(),
      () => Note.query().iterate().read(),
      () => Note.create({ id: 9 }),
      () => Note.createMany([{ id: 9 }]),
      () => Note.update({ body: '' }).everyRow().apply(),
      () => Note.delete().everyRow().apply(),
      () => new Note({ id: 1 }).update({ body: 'x' }).apply(),
      () => strict.db.all(Note.query()),
    ])
      expect([String(use), await caught((async () => use())())]).toEqual([String(use), expect.any(TenantError)])
    expect(await strict.db.scalar(body)).toBe('public')
    expect((await optional.Note.getOr404(1)).body).toBe('public')
  })

  test('a schema that is missing, or that the role may not use, is refused, and is found when it was made', async () => {
    await using at = setUp({ shared: ['b'] })
    const { db } = at
    // Roles are those of the whole server.
    const role = `tenant_role_${process.pid}`
    await database.query(`create schema closed; create role ${role}; grant usage on schema b to ${role}`)

    expect(await caught(db.withTenant('late', () => db.scalar(body)))).toBeInstanceOf(SchemaNotFoundError)
    await db.createSchema('late')
    await db.withTenant('late', () => createAll(db, [table]))
    expect(await db.withTenant('late', () => at.Note.query().count())).toBe(0)
    expect(
      await caught(db.scope(() => db.withSchema('closed', () => db.scalar('select 1')), { settings: { role } })),
    ).toMatchObject({ code: 'GENEVER_SCHEMA_NOT_FOUND', message: expect.stringMatching(/may not use/) as string })
    await db.dropSchema('late', { cascade: true })
    expect(await caught(db.withTenant('late', () => db.scalar(body)))).toBeInstanceOf(SchemaNotFoundError)
    await database.query(`revoke usage on schema b from ${role}; drop role ${role}`)
  })

  test('a schema is made and dropped once, unless the option says that either will do', async () => {
    await using at = setUp()
    const { db } = at
    await db.createSchema('once')

    expect(await caught(db.createSchema('once'))).toMatchObject({ sqlState: '42P06' })
    await db.createSchema('once', { ifNotExists: true })
    await db.dropSchema('once')
    expect(await caught(db.dropSchema('once'))).toMatchObject({ sqlState: '3F000' })
    await db.dropSchema('once', { ifExists: true })
  })

  test('what a transaction has made and rolled back is not remembered', async () => {
    await using at = setUp()
    const { db } = at
    await caught(
      db.transaction(async () => {
        await db.createSchema('passing')
        await db.withTenant('passing', () => 1)
        throw new Error('back')
      }),
    )

    expect(await caught(db.withTenant('passing', () => 1))).toBeInstanceOf(SchemaNotFoundError)
  })

  test('an extension whose types are not on the path is refused, and shared names it', async () => {
    await using other = await freshDatabase(
      'create schema extensions; create extension citext schema extensions; create schema t',
    )
    const db = createRegistry({ main: other.url, tenancy: { schema: (id: string) => id } })
    const shared = createRegistry({ main: other.url, tenancy: { schema: (id: string) => id, shared: ['extensions'] } })

    const error = await caught(db.withTenant('t', () => 1))
    expect(error).toBeInstanceOf(UsageError)
    expect(String(error)).toMatch(/citext \(in "extensions"\).*shared/s)
    expect(await shared.withTenant('t', () => shared.scalar("select 'A'::citext = 'a'::citext"))).toBe(true)
    await db.close()
    await shared.close()
  })
})

describe('names', () => {
  const strange = [
    'A',
    'acme ',
    'a.b',
    'a"b',
    "o'brien",
    'a; drop schema a',
    'caf\u00e9',
    '\u65e5\u672c\u8a9e',
    'a\u200bb',
    'PG_x',
    'x'.repeat(63),
    '\\',
    '$1',
    ':name',
    '--',
  ]

  test('all that is not refused is a schema of that name and no other', async () => {
    await using at = setUp()
    const { db, Note } = at
    for (const name of strange) {
      await db.createSchema(name)
      await db.withTenant(name, async () => {
        await createAll(db, [table])
        await Note.create({ id: 1, body: name })
      })
    }

    const seen = await Promise.all(
      strange.map((name) => db.withTenant(name, async () => (await Note.getOr404(1)).body)),
    )
    expect(seen).toEqual(strange)
    expect(await db.withTenant('a', () => db.scalar(body))).toBe('a')
    for (const name of strange) await db.dropSchema(name, { cascade: true })
  })

  test.each([
    [''],
    ['a\0b'],
    ['x'.repeat(64)],
    ['\u00e9'.repeat(32)],
    ['cafe\u0301'],
    ['\ud800'],
    ['pg_x'],
    ['pg_catalog'],
    ['pg_temp'],
    ['information_schema'],
    ['$user'],
    ['public'],
    [7],
    [{}],
  ])('%j is refused at every door', async (name) => {
    await using at = setUp()
    const { db, Note } = at
    const doors: (() => unknown)[] = [
      () => db.withTenant(name as never, () => 1),
      () => db.createSchema(name as never),
      () => db.dropSchema(name as never),
      () => Note.using({ tenant: name as never }),
      ...(name === 'public'
        ? []
        : [() => Note.using({ schema: name as never }), () => db.withSchema(name as never, () => 1)]),
    ]
    for (const door of doors) expect(await caught((async () => door())())).toBeInstanceOf(TenantError)
  })

  test('wrong options of tenancy are refused by name', () => {
    const make = (tenancy: unknown) => () => createRegistry({ main: database.url, tenancy: tenancy as never })

    expect(make({})).toThrow(/one of schema, settings and database/)
    expect(make({ schema: () => 'a', settings: () => ({}) })).toThrow(/schema and settings/)
    expect(make({ settings: () => ({}), shared: ['a'] })).toThrow(/shared, which belongs to tenancy: \{ schema \}/)
    expect(make({ schema: () => 'a', maxConnections: 4 })).toThrow(/maxConnections, which belongs/)
    expect(make({ schema: 'a' })).toThrow(/a function/)
    expect(make({ schema: () => 'a', shared: ['$user'] })).toThrow(/stands for the name of the role/)
    expect(make({ schema: () => 'a', nope: 1 })).toThrow(/nope/)
  })

  test('a db without tenancy has no tenants', async () => {
    const db = createRegistry({ main: database.url })

    expect(await caught(db.withTenant('a', () => 1))).toBeInstanceOf(UsageError)
    expect(() => db.using({ tenant: 'a' })).toThrow(/Give createRegistry\(\) the option tenancy/)
    class Note extends Model(createDb(database.url), table) {}
    expect(() => (Note as never as { using: (where: object) => unknown }).using({ schema: 'a' })).toThrow(UsageError)
  })
})

describe('using, withSchema and the schema of the registry', () => {
  test('the innermost of them counts', async () => {
    await using at = setUp()
    const { db, Note } = at
    const here = async (): Promise<unknown> => (await Note.query().one()).body

    expect(
      await db.withTenant('a', async () => [
        await here(),
        await db.withSchema('b', here),
        await db.withSchema('b', () => db.withTenant('c', here)),
        (await Note.using({ schema: 'c' }).getOr404(1)).body,
        (await Note.using({ tenant: 'b' }).getOr404(1)).body,
        await db.using({ schema: 'b' }).scalar(body),
        await db.using({ schema: 'c' }, here),
        await db.using('main', () => db.scalar(body)),
        await here(),
      ]),
    ).toEqual(['a', 'b', 'c', 'c', 'b', 'b', 'c', 'a', 'a'])
  })

  test('models at a place work outside of every tenant, and their objects stay there', async () => {
    await using at = setUp()
    const { db, Note } = at
    const note = await Note.using({ tenant: 'b' }).getOr404(1)
    await note.update({ body: 'changed' }).apply()
    await note.reload()

    expect(note.body).toBe('changed')
    expect(await db.withTenant('b', () => db.scalar(body))).toBe('changed')
    expect(await db.scalar(body)).toBe('public')
    await db.withTenant('a', () => note.update({ body: 'b' }).apply())
    expect(await Promise.all(tenants.map((id) => db.withTenant(id, () => db.scalar(body))))).toEqual(tenants)
    const added = await Note.using({ schema: 'b' }).create({ id: 2, body: 'new' })
    await db.withTenant('c', () => added.delete())
    expect(await db.withTenant('b', () => Note.query().count())).toBe(1)
  })

  test('the registry has a schema of its own, which null leads back to', async () => {
    const db = createRegistry({ main: database.url, schema: 'c', tenancy: { schema: (id: string) => id } })

    expect(await db.scalar(body)).toBe('c')
    expect(
      await db.withTenant('a', async () => [await db.scalar(body), await db.withTenant(null, () => db.scalar(body))]),
    ).toEqual(['a', 'c'])
    await db.close()
    expect(() => createRegistry({ main: createDb(database.url), schema: 'c' })).toThrow(UsageError)
    expect(() => createRegistry({ main: database.url, schema: 'pg_x' })).toThrow(/one of PostgreSQL's own/)
    expect(() => createRegistry({ main: { url: database.url, settings: { search_path: 'a' } }, schema: 'c' })).toThrow(
      UsageError,
    )
  })

  test('what cannot be a place is refused', async () => {
    await using at = setUp()
    const using = at.db.using.bind(at.db) as (where: unknown) => unknown

    expect(() => using({ schema: 'a', tenant: 'b' })).toThrow(/a schema or a tenant/)
    expect(() => using({ database: 'nope' })).toThrow(/no database named "nope"/)
    expect(() => using({ tenant: undefined })).toThrow(TenantError)
    expect(() => using({ schema: undefined })).toThrow(TenantError)
    expect(() => using({})).toThrow(/given nothing/)
    expect(() => using({ scheme: 'a' })).toThrow(/not "scheme"/)
    expect(() => using({ tenant: 'a', shared: ['b'] })).toThrow(/shared beside schema/)
    expect(await caught(at.db.using({ schema: 'a' }).close())).toBeInstanceOf(UsageError)
  })
})

describe('what was made at a tenant', () => {
  test('runs there, also when it is awaited outside or at another one', async () => {
    await using at = setUp()
    const { db, Note } = at
    const made = await db.withTenant('a', () => ({
      query: Note.query(),
      refined: Note.where({ id: 1 }),
      sql: db.sql<{ body: string }>`select body from notes`,
      update: Note.update({ body: 'a' }).where({ id: 1 }),
      cursor: Note.query().iterate(),
    }))
    const all = async (): Promise<unknown[]> => [
      (await made.query.one()).body,
      (await made.refined.limit(1).orderBy(Note.c.id).all())[0]?.body,
      (await made.sql.one()).body,
      await db.withTenant(null, async () => (await made.query.first())?.body),
      (await db.all(made.query))[0]?.body,
      (await made.query.limit(1).iterate().read())?.body,
      await made.update.apply(),
      await made.query.count(),
      await made.query.exists(),
    ]

    const wanted = ['a', 'a', 'a', 'a', 'a', 'a', 1, 1, true]
    expect(await db.withTenant('b', all)).toEqual(wanted)
    expect(await all()).toEqual(wanted)
    // A cursor belongs to the callback it was made in.
    expect(await caught(made.cursor.read())).toBeInstanceOf(TransactionStateError)
    expect(await db.withTenant('b', () => db.scalar(body))).toBe('b')
  })

  test('settings that differ are refused all the same', async () => {
    await using at = setUp()
    const { db, Note } = at
    const query = await db.withTenant('a', () =>
      db.scope(() => ({ query: Note.query() }), { settings: { work_mem: '5MB' } }),
    )

    expect(await caught(db.withTenant('a', () => query.query.all()))).toBeInstanceOf(TransactionStateError)
  })
})
