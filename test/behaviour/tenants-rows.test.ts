/** Row-level security: tenants as settings, by `rowSecurity()`. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { TenantError, TransactionStateError, UsageError } from 'genever'
import { Model } from 'genever/models'
import { createRegistry, rowSecurity } from 'genever/registry'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase, onServer } from '../support/database.ts'

interface Claims {
  readonly tenant: string
  readonly user: number | null
}

const notes = pgTable('notes', { id: integer().primaryKey(), tenant: text(), body: text() })
let database: FreshDatabase
const role = `rows_${process.pid}`
beforeAll(async () => {
  await onServer(`create role ${role}`)
  database = await freshDatabase(`create table notes (id int primary key, tenant text, body text);
    insert into notes values (1, 'a', 'of a'), (2, 'b', 'of b'); grant select, insert, update on notes to ${role};
    alter table notes enable row level security;
    create policy own on notes using (tenant = nullif(current_setting('app.tenant', true), ''))`)
})
afterAll(async () => {
  await database.drop()
  await onServer(`drop role ${role}`)
})

function setUp() {
  const secure = rowSecurity<Claims>({ role, claims: { prefix: 'app.' } })
  const db = createRegistry({ main: { url: database.url, pool: { max: 2 } }, tenancy: { settings: secure } })
  onTestFinished(async () => void (await db.close({ force: true })))
  class Note extends Model(db, notes) {}
  return { db, Note }
}

const claims = (tenant: string): Claims => ({ tenant, user: null })
const who = "select current_user || ' ' || current_setting('app.tenant', true)"

test('each tenant sees its own rows, nested ones and those in one transaction too', async () => {
  const { db, Note } = setUp()
  const bodies = async (): Promise<unknown> => (await Note.query().all()).map(({ body }) => body)
  const nested = (): Promise<unknown> =>
    db.withTenant(claims('a'), async () => [
      await bodies(),
      await db.withTenant(claims('b'), bodies),
      await db.withTenant(null, () => db.scalar('select count(*) from notes')),
      await db.scalar(who),
    ])
  const wanted = [['of a'], ['of b'], 2, `${role} a`]

  expect(await nested()).toEqual(wanted)
  expect(await db.transaction(nested)).toEqual(wanted)
  expect(await db.scalar('select count(*) from notes')).toBe(2)
  expect(await db.scalar('select current_user')).not.toBe(role)
})

test('what another tenant has set and this one has not is taken back, and its role too', async () => {
  const db = createRegistry({
    main: { url: database.url, pool: { max: 1 } },
    tenancy: {
      settings: (id: string) => (id === 'a' ? { role, 'app.tenant': 'a', 'app.extra': '1' } : { 'app.tenant': id }),
    },
  })
  onTestFinished(async () => void (await db.close({ force: true })))
  const seen =
    "select current_user || ' ' || coalesce(current_setting('app.tenant', true), '') || ' ' || coalesce(current_setting('app.extra', true), '')"
  const user = String(await db.scalar('select current_user'))
  const inside = (): Promise<unknown> =>
    db.withTenant('a', async () => [
      await db.scalar(seen),
      await db.withTenant('b', () => db.scalar(seen)),
      await db.scalar(seen),
    ])

  expect(await inside()).toEqual([`${role} a 1`, `${user} b `, `${role} a 1`])
  expect(await db.transaction(inside)).toEqual([`${role} a 1`, `${user} b `, `${role} a 1`])
})

test('what was made with the claims of one request does not run with those of another', async () => {
  const { db, Note } = setUp()
  const made = await db.withTenant(claims('a'), async () => ({ query: Note.query(), note: await Note.getOr404(1) }))

  for (const use of [() => made.query.all(), () => made.note.update({ body: 'x' }).apply(), () => made.note.reload()])
    expect(await caught(db.withTenant(claims('b'), use as () => Promise<unknown>))).toBeInstanceOf(
      TransactionStateError,
    )
  expect(await caught(made.note.reload())).toBeInstanceOf(UsageError)
  await db.withTenant(claims('a'), () => made.note.reload())
})

test('text that changes a claim or the role is refused inside', async () => {
  const { db } = setUp()
  for (const sql of [
    'reset role',
    "set app.tenant = 'b'",
    "select set_config('app.tenant', 'b', true)",
    'set local app.user to 1',
  ])
    expect(await caught(db.withTenant(claims('a'), () => db.transaction((tx) => tx.all(sql))))).toBeInstanceOf(
      TransactionStateError,
    )
})

test('claims are settings of one each, or one JSON; a role may depend on them', () => {
  const byPrefix = rowSecurity<{ a: string; b: bigint; c: boolean; d: null; e: readonly string[] }>({
    claims: { prefix: 'app.' },
  })
  const asJson = rowSecurity<{ sub: string; role: string; big: bigint }>({
    role: (c) => c.role,
    claims: { json: 'request.jwt.claims' },
  })
  const byName = rowSecurity<{ a: string; b: number }>({ role: 'r', claims: { a: 'app.x', b: 'app.y' } })

  expect({ ...byPrefix({ a: '1', b: 2n, c: true, d: null, e: ['x'] }) }).toEqual({
    'app.a': '1',
    'app.b': '2',
    'app.c': 'true',
    'app.d': '',
    'app.e': '["x"]',
  })
  expect({ ...asJson({ sub: 'u', role: 'reader', big: 2n ** 60n }) }).toEqual({
    'request.jwt.claims': '{"sub":"u","role":"reader","big":"1152921504606846976"}',
    role: 'reader',
  })
  expect({ ...byName({ a: '1', b: 2 }) }).toEqual({ 'app.x': '1', 'app.y': '2', role: 'r' })
})

test('claims and roles that are missing or cannot be are refused', () => {
  const secure = rowSecurity<Record<string, string>>({ role: (c) => c['role'] as string, claims: { prefix: 'app.' } })
  const named = rowSecurity<{ a: string }>({ claims: { a: 'app.a' } })

  for (const role of ['', 'none', undefined]) expect(() => secure({ role } as never)).toThrow(TenantError)
  expect(() => named({} as never)).toThrow(/"a" is missing, .* give null/)
  expect(() => named({ a: undefined } as never)).toThrow(/undefined/)
  expect(() => named({ a: '1', b: '2' } as never)).toThrow(/"b" has no setting .* leave the claim out/)
  expect(() => named({ a: {} } as never)).toThrow(/an object/)
  expect(() => named('a' as never)).toThrow(TenantError)
  expect(() => rowSecurity({ role: 'none', claims: { prefix: 'app.' } })).toThrow(TenantError)
  expect(() => rowSecurity({ claims: { prefix: 'app' } })).toThrow(/has a dot/)
  expect(() => rowSecurity({ claims: { prefix: 'a b.' } })).toThrow(UsageError)
  const wrong = rowSecurity as (options: unknown) => unknown
  expect(() => wrong({ claims: 'app.' })).toThrow(/needs claims/)
  expect(() => wrong({})).toThrow(/needs claims/)
})

test('a tenant without settings is refused: it would be every tenant', async () => {
  const db = createRegistry({ main: database.url, tenancy: { settings: () => ({}) } })
  onTestFinished(async () => void (await db.close({ force: true })))

  expect(await caught(db.withTenant('a', () => db.all('select 1')))).toBeInstanceOf(UsageError)
})
