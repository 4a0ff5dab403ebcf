/** Settings that cannot be sent are the error of whoever gave them: nothing was sent or lent, and nobody else notices. */

import { createDb, type Db, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { OpenScope } from '../../src/engine/open-scope.ts'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'

class Tenant {
  readonly 'app.tenant' = '7'
}

const wrong: readonly (readonly [string, unknown])[] = [
  ['an undefined value', { 'app.tenant': undefined }],
  ['a null', { 'app.tenant': null }],
  ['a list', { 'app.tenant': ['1', '2'] }],
  ['an object', { 'app.tenant': { id: 7 } }],
  ['NaN', { 'app.tenant': Number.NaN }],
  ['text with NUL', { 'app.tenant': '7\0' }],
  ['half a character', { 'app.tenant': '\ud800' }],
  ['a name with a blank', { 'bad name': '7' }],
  ['an empty name', { '': '7' }],
  ['no role', { role: undefined }],
  ['a list of schemas', { search_path: ['a', 'b'] }],
  ['null instead of settings', null],
  ['text instead of settings', 'app.tenant=7'],
  ['a list instead of settings', ['app.tenant', '7']],
  ['a Map', new Map([['app.tenant', '7']])],
  ['an instance of a class', new Tenant()],
  ['a promise', Promise.resolve({ 'app.tenant': '7' })],
]

/** Every way to give settings to code. */
const doors: Readonly<Record<string, (db: Db, settings: never, work: () => unknown) => Promise<unknown>>> = {
  scope: (db, settings, work) => db.scope(work, { settings }),
  'a scope of its own': (db, settings, work) => db.scope(work, { settings, reuse: false }),
  'a scope that borrows at once': (db, settings, work) => db.scope(work, { settings, lazy: false }),
  'a scope that is not reusable': (db, settings, work) => db.scope(work, { settings, reusable: false }),
  'a scope in a scope': (db, settings, work) => db.scope(() => db.scope(work, { settings })),
  detached: (db, settings, work) => db.detached(work, { settings }),
  'the scope of a request': async (db, settings, work) => {
    const engine = await db.engineHere()
    return new OpenScope(engine, db, { what: 'a request', settings }).run(work)
  },
}

forEachDriver((driver) => {
  const tenant = driver.words.setting('app.tenant')

  test.each(wrong)('%s is refused at every door before any code runs', async (_, settings) => {
    const db = await driver.single()
    let ran = 0

    for (const [name, open] of Object.entries(doors)) {
      const error = await caught(open(db, settings as never, () => ran++))
      expect(error, name).toBeInstanceOf(UsageError)
      expect(error.message, name).toMatch(/setting/)
    }

    expect([ran, doing(db)]).toEqual([0, `0 lent, ${db.stats().idle} idle, 0 waiting`])
  })

  test('they are refused by a database that is only opened by them, too', async () => {
    const db = createDb(await driver.url())

    for (const open of Object.values(doors).slice(0, 6))
      expect(await caught(open(db, { 'app.tenant': undefined } as never, () => {}))).toBeInstanceOf(UsageError)
    await db.close()
  })

  test('what a getter among them throws reaches the caller', async () => {
    const db = await driver.single()
    const settings = {
      get 'app.tenant'(): string {
        throw new RangeError('no tenant')
      },
    }

    for (const open of Object.values(doors)) {
      const error = await caught(open(db, settings as never, () => {}))
      expect([error.message, (error.cause as Error | undefined)?.message]).toContain('no tenant')
    }
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('requests without their tenant in a queue hurt nobody in it', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 20_000 } })
    const table = await driver.table('n int')
    const held = gate()
    const innocent = db.transaction(async (tx) => {
      await tx.status(`insert into ${table} values (1)`)
      await held.promise
    })
    const good = Array.from({ length: 4 }, () => db.scope(() => db.scalar(tenant), { settings: { 'app.tenant': '7' } }))
    const bad = [undefined, ['7'], Number.NaN].map((value) =>
      caught(db.scope(() => db.scalar(tenant), { settings: { 'app.tenant': value as never } })),
    )
    held.open()

    await innocent
    expect(await Promise.all(good)).toEqual(['7', '7', '7', '7'])
    for (const error of await Promise.all(bad)) expect(error).toBeInstanceOf(UsageError)
    expect(await db.scalar(`select count(*) from ${table}`)).toBe(1)
  })

  test('numbers and booleans are sent as text, and are equal to it', async () => {
    const db = await driver.single()
    const settings = { 'app.tenant': 7, 'app.admin': true } as never

    const seen = await db.scope(
      async () => [
        await db.scalar(tenant),
        await db.scope(() => db.scalar(tenant), { settings: { 'app.tenant': '7', 'app.admin': 'true' } }),
      ],
      { settings },
    )

    expect(seen).toEqual(['7', '7'])
  })

  test('a later change of the object has no effect, not even before the first statement', async () => {
    const db = createDb(await driver.url(), { pool: { max: 1 } })
    const change = { 'app.tenant': '7' }
    const seen = [
      db.scope(
        async () => {
          change['app.tenant'] = '8'
          return db.scalar(tenant)
        },
        { settings: change },
      ),
    ]
    change['app.tenant'] = '9'
    const detached = db.detached(() => db.scalar(tenant), { settings: change })
    change['app.tenant'] = undefined as never

    expect(await Promise.all([...seen, detached])).toEqual(['7', '9'])
    await db.close()
  })

  test('settings without an entry are no settings', async () => {
    const db = await driver.single()

    expect(await db.scope(() => db.scope(() => db.scalar(tenant), { settings: {} }), { settings: {} })).toBeFalsy()
  })
})
