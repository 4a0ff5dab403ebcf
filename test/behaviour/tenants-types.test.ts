/** What the compiler refuses of registries and tenants: the file compiles only if each mistake is one. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { createDb, type Db, type Executor } from 'genever'
import { Model } from 'genever/models'
import { createRegistry, rowSecurity } from 'genever/registry'
import { expect, expectTypeOf, test } from 'vitest'

const table = pgTable('users', { id: integer().primaryKey(), name: text().notNull() })
const url = 'postgres://nobody@127.0.0.1:1/nothing'

/** Never called: only its types are of interest. */
export async function refusals(): Promise<void> {
  const registry = createRegistry({
    main: url,
    extra: { legacy: url, reports: createDb(url) },
    tenancy: { schema: (n: number) => `t${n}` },
  })
  const single = createRegistry({ main: url })
  class User extends Model(registry, table) {
    shout(): string {
      return this.name.toUpperCase()
    }
  }
  class Plain extends Model(createDb(url), table) {}

  const asDb: Db = registry
  const asExecutor: Executor = registry.using({ tenant: 3 })
  void [asDb, asExecutor]
  const found = await User.using({ database: 'legacy', tenant: 3 }).query().first()
  expectTypeOf(found).toEqualTypeOf<User | undefined>()
  found?.shout()
  expectTypeOf(registry.tenant).toEqualTypeOf<number | null | undefined>()
  expectTypeOf(registry.withTenant(3, () => 'x')).toEqualTypeOf<Promise<string>>()
  expectTypeOf(registry.using('legacy', (db) => db.scalar<number>('select 1'))).toEqualTypeOf<
    Promise<number | undefined>
  >()
  await registry.withTenant(null, () => 1)

  // @ts-expect-error an unknown name
  User.using('nope')
  // @ts-expect-error an unknown name among other things
  User.using({ database: 'nope' })
  // @ts-expect-error tenants are numbers
  User.using({ tenant: '3' })
  // @ts-expect-error a tenant that may be missing
  User.using({ tenant: undefined })
  // @ts-expect-error a db has no places
  Plain.using({ schema: 'a' })
  // @ts-expect-error no such name
  single.using('x')
  // @ts-expect-error tenants are numbers
  await registry.withTenant('3', () => 1)
  // @ts-expect-error undefined is no tenant
  await registry.withTenant(undefined, () => 1)
  // @ts-expect-error two kinds at once
  createRegistry({ main: url, tenancy: { schema: (x: string) => x, settings: () => ({}) } })
  // @ts-expect-error of another kind
  createRegistry({ main: url, tenancy: { settings: () => ({}), shared: ['a'] } })
  // @ts-expect-error a claim that is missing
  rowSecurity<{ a: string; b: string }>({ claims: { prefix: 'app.' } })({ a: '1' })
  // @ts-expect-error a claim without its setting
  rowSecurity<{ a: string; b: string }>({ claims: { a: 'app.a' } })
  // @ts-expect-error no claim can be an object
  rowSecurity<{ a: { b: string } }>({ claims: { prefix: 'app.' } })
}

test('the mistakes are compile errors', () => {
  expect(refusals).toBeTypeOf('function')
})
