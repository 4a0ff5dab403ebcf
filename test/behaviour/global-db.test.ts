/** `globalDb`: one pool for a database and process, whoever asks for it. */

import { inspect } from 'node:util'
import { closeGlobal, createDb, globalDb, InvalidOptionError, InvalidUrlError, UsageError } from 'genever'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type NoticeEvent, noticeChannel } from '../../src/observe/channels.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, pid, type TestedDatabase } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver(
  (driver) => {
    let database: TestedDatabase
    let url: string

    beforeEach(async () => {
      database = await driver.fresh('create table t (n int)')
      url = database.url
    })
    afterEach(async () => {
      vi.unstubAllEnvs()
      await closeGlobal()
      await database[Symbol.asyncDispose]()
    })

    const sessions = (): Promise<number> => database.sessions()

    describe('one pool', () => {
      test('is made by the first use, not by asking for it, and serves all who ask', async () => {
        const first = globalDb(url, { pool: { max: 1 } })
        expect(String(first)).toContain('not open')
        expect(await sessions()).toBe(0)
        const answers = await Promise.all(Array.from({ length: 20 }, () => pid(globalDb(url))))

        expect(new Set(answers).size).toBe(1)
        expect(globalDb(new URL(url))).toBe(first)
        expect(first.stats()).toMatchObject({ open: 1, max: 1 })
        expect(await sessions()).toBe(1)
      })

      test('is one for each database, user and way to it', async () => {
        await using other = await driver.fresh()
        const aliases: Readonly<Record<string, string>> = { socket: 'socket:', mysql: 'mariadb:' }
        const alias = url.replace(/^\w+:/, (scheme) => aliases[driver.name] ?? scheme)
        const way = driver.name === 'mysql' ? 'ssl-mode=disabled' : 'options=-c%20search_path%3Da'
        const dbs = [url, alias, other.url, `${url}?${way}`].map((each) => globalDb(each))
        const names = await Promise.all(dbs.map((db) => db.scalar(driver.words.database)))
        const [here, there] = [url, other.url].map((each) => new URL(each).pathname.slice(1))

        expect(new Set(dbs).size).toBe(3)
        expect(dbs[1]).toBe(dbs[0])
        expect(names).toEqual([here, here, there, here])
        expect(globalDb({ driver: new FakeDriver() })).not.toBe(globalDb({ driver: new FakeDriver() }))
        await closeGlobal()
      })

      test('is shared by a name that leads there, whose function is asked when it is opened', async () => {
        const asked: string[] = []
        const one = globalDb(`one ${driver.name}`, async () => (asked.push('asked'), url))
        expect(asked).toEqual([])
        const other = globalDb(`other ${driver.name}`, () => ({ driver: driver.name, ...partsOf(url) }))
        await Promise.all([one, one, other, globalDb(url)].map((db) => db.scalar('select 1')))

        expect(asked).toEqual(['asked'])
        expect(one).not.toBe(other)
        expect(new Set([one, other, globalDb(url)].map((db) => db.engineHere())).size).toBe(1)
        await one.transaction(async () => {
          await one.status('insert into t values (1)')
          // It sees the row, which is not committed: it runs in that transaction.
          expect(await globalDb(url).scalar('select count(*) from t')).toBe(1)
        })
      })

      test('two copies of the package and modules that are loaded again share one pool', async () => {
        const first = globalDb(url)
        const named = globalDb(`main ${driver.name}`, () => url)
        vi.resetModules()
        const copy = await import('genever')

        expect(copy.globalDb).not.toBe(globalDb)
        expect(copy.globalDb(url)).toBe(first)
        expect(copy.globalDb(`main ${driver.name}`, () => url)).toBe(named)
        await first.scalar('select 1')
        await copy.closeGlobal(url)
        await until(async () => (await sessions()) === 0)
      })

      test('a connection of another copy of the package is refused in words that say so', async () => {
        const db = globalDb(url)
        vi.resetModules()
        const copy = await import('genever')
        const other = copy.createDb(url)
        const seen = await other.transaction(async (tx) => [
          await caught(db.scope(() => 1, tx as never)),
          await caught(db.scalar('select 1', [], { on: tx })),
        ])
        await other.close()
        await closeGlobal()

        for (const error of seen) {
          expect(error).toBeInstanceOf(Error)
          expect(error.message).toMatch(/an object of class \w+ of another copy of genever\. Load one copy/)
        }
      })

      test('opens again after a failure, and after it could not be found', async () => {
        let target = url.replace(/\/[^/]*$/, '/nowhere')
        const db = globalDb(`late ${driver.name}`, () => target)
        expect((await caught(db.scalar('select 1'))).message).toContain('nowhere')
        target = url

        await closeGlobal()
        expect(await db.scalar('select 1')).toBe(1)
      })

      test('keeps no password where somebody might look', () => {
        const secret = globalDb('postgres://app:hunter2@127.0.0.1:1/shop', { password: 'hunter2' })
        const seen = [secret, Reflect.get(globalThis, Symbol.for('genever.global@1'))].map((each) =>
          inspect(each, { depth: 9 }),
        )

        expect(seen.join()).not.toContain('hunter2')
        expect(String(secret)).toContain('postgres://app@127.0.0.1:1/shop')
      })
    })

    describe('other options', () => {
      test('for the same database are refused by name; none, and the same in another order, are not', async () => {
        const first = globalDb(url, { pool: { max: 3, min: 0 }, onConnect: () => {} })
        expect(globalDb(url)).toBe(first)
        expect(globalDb(url, { onConnect: () => {}, pool: { min: 0, max: 3 } })).toBe(first)
        // A URL of MySQL has no parameter for it.
        const [renamed, options] =
          driver.name === 'mysql' ? [url, { applicationName: 'x' }] : [`${url}?application_name=x`, {}]
        const refused = (): unknown => globalDb(renamed, { pool: { max: 4 }, onConnect: () => 1, ...options })

        expect(refused).toThrow(InvalidOptionError)
        expect(refused).toThrow(
          /another applicationName, onConnect, pool\.max than before.*global-db\.test\.ts.*global-db\.test\.ts/,
        )
        expect(() => globalDb(url.replace('@', ':secret2@'))).toThrow(/another password than before/)
        expect(() => globalDb(url.replace('@', ':secret2@'))).not.toThrow(/secret2/)
      })

      test('for the same name are refused, and where a function leads to a pool with others, by its first use', async () => {
        globalDb(`main ${driver.name}`, () => url)
        expect(() => globalDb(`main ${driver.name}`, () => `${url}?application_name=x`)).toThrow(
          /globalDb\(\) of "main \w+" was asked for with another/,
        )
        globalDb(url, { pool: { max: 2 } })

        expect(
          (await caught(globalDb(`second ${driver.name}`, () => url, { pool: { max: 5 } }).scalar('select 1'))).message,
        ).toContain('pool.max')
      })

      test('replace the old ones in development, where the module was loaded again, and a notice says so', async () => {
        vi.stubEnv('NODE_ENV', 'development')
        const seen: NoticeEvent[] = []
        const keep = (event: NoticeEvent): void => {
          if (event.code === 'global-replaced') seen.push(event)
        }
        noticeChannel.subscribe(keep)
        onTestFinished(() => void noticeChannel.unsubscribe(keep))
        const before = globalDb(url, { pool: { max: 1 } })
        await before.scalar('select 1')
        const old = before.engineHere()
        const after = globalDb(url, { pool: { max: 2 } })

        expect(after).toBe(before)
        expect(await before.scalar('select 1')).toBe(1)
        expect(after.stats().max).toBe(2)
        expect(inspect(old)).toContain('closed')
        expect(seen.map(({ places }) => places.length)).toEqual([2])
        expect(seen[0]?.message).toContain('is closed and replaced')
        const name = globalDb(`main ${driver.name}`, () => url)
        expect(globalDb(`main ${driver.name}`, () => url, { echo: false })).toBe(name)
        expect(await name.scalar('select 1')).toBe(1)
      })
    })

    describe('closing', () => {
      test('is awaited, done from anywhere, and does nothing twice or for what is not known', async () => {
        await globalDb(url).scalar('select 1')
        const inside = gate()
        const work = globalDb(url).transaction(async (tx) => {
          await tx.scalar('select 1')
          inside.open()
          await tx.scalar(driver.words.sleep(0.2))
          return 'slept'
        })
        await inside.promise
        const [one, two] = await Promise.all([closeGlobal(url), globalDb(url).close()])

        expect(await work).toBe('slept')
        expect([one, two, await closeGlobal(url)]).toEqual([one, one, { drained: 0, broken: [] }])
        await until(async () => (await sessions()) === 0)
        expect(await closeGlobal('unknown')).toEqual({ drained: 0, broken: [] })
        expect(await closeGlobal('postgres://localhost:1/unknown')).toEqual({ drained: 0, broken: [] })
      })

      test('makes a call that comes meanwhile wait, and gives it a new pool; a scope that lives ends on the old one', async () => {
        const db = globalDb(url)
        const [inside, late] = [gate(), gate()]
        const scope = db.scope(async () => {
          const before = await pid(db)
          inside.open()
          await late.promise
          return [before, await pid(db)] as const
        })
        await inside.promise
        const closed = db.close()
        const waiting = pid(db)
        late.open()
        const [first, second] = await scope

        expect(second).toBe(first)
        await closed
        expect(await waiting).not.toBe(first)
        await until(async () => (await sessions()) === 1)
      })

      test('is refused inside of what it would wait for, and then nothing is closed', async () => {
        const db = globalDb(url)
        await db.transaction(async () => {
          await db.scalar('select 1')
          expect(await caught(closeGlobal(url))).toMatchObject({ name: 'UsageError' })
          expect(await db.scalar('select 1')).toBe(1)
        })
        expect(await db.scalar('select 1')).toBe(1)
      })

      test('lets the next use be opened with other options', async () => {
        const db = globalDb(url, { pool: { max: 1 } })
        await db.scalar('select 1')
        await db.close()

        expect(globalDb(url, { pool: { max: 2 } })).toBe(db)
        await db.scalar('select 1')
        expect(db.stats().max).toBe(2)
        expect(() => globalDb(url, { pool: { max: 1 } })).toThrow(/pool\.max/)
      })

      test('by the URL finds a pool that options beside it say more of', async () => {
        const db = globalDb(url.replace(/\/\/[^@]*@/, '//'), {
          user: new URL(url).username,
          settings: { 'app.x': 'a' },
        })
        await db.scalar('select 1')
        await closeGlobal(url.replace(/\/\/[^@]*@/, '//'))

        expect(String(db)).toContain('not open')
      })
    })

    test('what is neither a URL nor a name with a function is refused, and says how it is written', async () => {
      expect(() => globalDb('main', url as never)).toThrow(/globalDb\('main', \(\) => process\.env\.DATABASE_URL\)/)
      expect(() => globalDb('main')).toThrow(InvalidUrlError)
      expect(() => globalDb('', () => url)).toThrow(UsageError)
      expect(() => globalDb(7 as never)).toThrow(UsageError)
      expect(() => globalDb(url, { pool: { mx: 1 } } as never)).toThrow(/pool\.mx/)
      expect((await caught(globalDb('nothing', () => undefined).scalar('select 1'))).message).toContain(
        'environment variable',
      )
      expect((await caught(globalDb(undefined).scalar('select 1'))).message).toContain('environment variable')
      expect(await caught(globalDb(url).bind(url))).toMatchObject({ code: 'GENEVER_ALREADY_BOUND' })
      expect(() => globalDb(url).unbind()).toThrow(UsageError)
      expect(() => globalDb(url).stats()).toThrow(/not been opened/)
      expect(await createDb(url).withBind(url, (engine) => engine.scalar('select 1'))).toBe(1)
    })
  },
  { connections: 2 },
)

function partsOf(text: string): { host: string; port: number; user: string; database: string } {
  const { hostname, port, username, pathname } = new URL(text)
  return { host: hostname, port: Number(port), user: username, database: pathname.slice(1) }
}
