/** Several databases as one: opened and closed together, counted, used by name. */

import { setTimeout as sleep } from 'node:timers/promises'
import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import Fastify from 'fastify'
import { ConnectError, createDb, type Db, UsageError } from 'genever'
import { genever } from 'genever/fastify'
import { Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { deadPorts } from '../support/free-port.ts'
import { forEachDriver, type TestedDatabase } from '../support/matrix.ts'

const onPostgres = pgTable('notes', { id: integer().primaryKey(), body: text() })
const onMysql = mysqlTable('notes', { id: int().primaryKey(), body: varchar({ length: 80 }) })

const nowhere = `postgres://nobody@127.0.0.1:${deadPorts[0]}/nothing`

/** `open`, or why not. */
function state(db: Db): string {
  return db.bound ? 'open' : 'closed'
}

function warnings(): Error[] {
  const heard: Error[] = []
  const hear = (warning: Error): unknown => heard.push(warning)
  process.on('warning', hear)
  onTestFinished(() => void process.off('warning', hear))
  return heard
}

forEachDriver(
  (driver) => {
    const name = driver.words.database
    // Models of both have the same types.
    const table = driver.name === 'mysql' ? (onMysql as unknown as typeof onPostgres) : onPostgres

    /** URLs of two databases, and their names. */
    async function two(): Promise<{ main: string; other: string; names: string[] }> {
      const fresh = (): Promise<TestedDatabase> =>
        driver.fresh(
          'create table notes (id int primary key, body varchar(80))',
          `insert into notes values (1, (${name}))`,
        )
      const databases = [await fresh(), await fresh()]
      onTestFinished(async () => {
        for (const each of databases) await each[Symbol.asyncDispose]()
      })
      const [main, other] = databases.map(({ url }) => url) as [string, string]
      return { main, other, names: [main, other].map((url) => new URL(url).pathname.slice(1)) }
    }

    describe('the life of a registry', () => {
      test('it opens all databases, and closes them with the last close', async () => {
        const { main, other } = await two()
        const registry = createRegistry({ main, extra: { other } })
        const states = (): string[] => [state(registry), state(registry.using('other'))]

        expect(states()).toEqual(['closed', 'closed'])
        await registry.open()
        await registry.open()
        expect(states()).toEqual(['open', 'open'])
        await registry.close()
        expect(states()).toEqual(['open', 'open'])
        await registry.close()
        expect(states()).toEqual(['closed', 'closed'])
      })

      test('it opens again after its last close, and a close too many does nothing', async () => {
        const { main, other, names } = await two()
        const registry = createRegistry({ main, extra: { other } })

        for (let round = 0; round < 3; round++) {
          await registry.open()
          expect(await registry.using('other').scalar(name)).toBe(names[1])
          await registry.close()
          expect(await registry.close()).toEqual({ drained: 0, broken: [] })
        }
      })

      test('close({ force }) closes it whoever has opened it', async () => {
        const { main } = await two()
        const registry = createRegistry({ main })
        for (let n = 0; n < 3; n++) await registry.open()

        await registry.close({ force: true })

        expect(state(registry)).toBe('closed')
        await registry.open()
        await registry.close()
        expect(state(registry)).toBe('closed')
      })

      test('twenty that open it at once make one pool for each database', async () => {
        const { main, other } = await two()
        const registry = createRegistry({ main, extra: { other } })

        await Promise.all(Array.from({ length: 20 }, () => registry.open()))

        expect([registry.stats().open, registry.using('other').stats().open]).toEqual([1, 1])
        await registry.close({ force: true })
      })

      test('when one cannot be opened the others are closed, and the first error is that of connecting', async () => {
        const { main } = await two()
        const registry = createRegistry({ main, extra: { other: nowhere } })

        expect(await caught(registry.open())).toBeInstanceOf(ConnectError)
        expect(state(registry)).toBe('closed')
        expect(await caught(registry.open())).toBeInstanceOf(ConnectError)
      })

      test('an open that failed can be tried again', async () => {
        const { main, other, names } = await two()
        let source = nowhere
        const registry = createRegistry({ main, extra: { other: () => source } })
        await caught(registry.open())
        source = other

        await registry.open()

        expect(await registry.using('other').scalar(name)).toBe(names[1])
        await registry.close()
        expect(state(registry.using('other'))).toBe('closed')
      })

      test('a database that was open before a failing open stays open', async () => {
        const { main } = await two()
        const registry = createRegistry({ main, extra: { other: nowhere } })
        await registry.scalar('select 1')

        await caught(registry.open())

        expect(state(registry)).toBe('open')
        await registry.close()
        expect(state(registry)).toBe('closed')
      })

      test('run opens it, and closes it also when the work throws; runs may lie inside of each other', async () => {
        const { main, names } = await two()
        const registry = createRegistry({ main })

        expect(await registry.run(async (db) => [await db.run((inner) => inner.scalar(name)), state(db)])).toEqual([
          names[0],
          'open',
        ])
        await expect(registry.run(() => Promise.reject(new TypeError('left')))).rejects.toThrow('left')

        expect(state(registry)).toBe('closed')
      })

      test('`await using` closes it', async () => {
        const { main } = await two()
        const registry = createRegistry({ main })
        {
          await using open = await registry.open()
          expect(await open.scalar('select 1')).toBe(1)
        }
        expect(state(registry)).toBe('closed')
      })

      test('a use that comes while it closes waits, and opens it again', async () => {
        const { main } = await two()
        const registry = createRegistry({ main, unopened: 'open' })
        await registry.open()
        const running = registry.scalar(`select 1 from (${driver.words.sleep(0.1)}) as pause`)

        const closing = registry.close()
        const late = registry.scalar('select 2')

        expect(await Promise.all([running, late])).toEqual([1, 2])
        await closing
        await registry.close()
      })

      test('it is not closed inside of its own scope', async () => {
        const { main } = await two()
        const registry = createRegistry({ main })
        await registry.open()

        await registry.transaction(async () => {
          await registry.scalar('select 1')
          expect(await caught(registry.close())).toBeInstanceOf(UsageError)
        })

        expect(state(registry)).toBe('open')
        await registry.close()
        expect(state(registry)).toBe('closed')
      })

      test('a db that was given to it is opened, and never closed', async () => {
        const { main, other, names } = await two()
        const mine = createDb(other)
        const registry = createRegistry({ main, extra: { mine } })

        await registry.open()
        expect(state(mine)).toBe('open')
        await registry.close()

        expect(await registry.using('mine').scalar(name)).toBe(names[1])
        await registry.close()
        expect(await mine.scalar('select 1')).toBe(1)
        await mine.close()
      })
    })

    describe('used before something has opened it', () => {
      test('nothing is said where nothing manages it', async () => {
        const { main } = await two()
        const heard = warnings()
        const registry = createRegistry({ main })

        await registry.scalar('select 1')
        await sleep(0)

        expect(heard).toEqual([])
        await registry.close()
      })

      test('a warning names the place, once, and the statement runs', async () => {
        const { main } = await two()
        const heard = warnings()
        const registry = createRegistry({ main })
        await registry.open()
        await registry.close()

        for (let n = 0; n < 2; n++) {
          expect(await registry.scalar('select 1')).toBe(1)
          await registry.close()
        }
        await sleep(0)

        expect(heard.map((warning) => warning.name)).toEqual(['DatabaseNotConnectedWarning'])
        expect((heard[0] as Error & { detail: string }).detail).toContain('registry.test.ts')
      })

      test('it throws where that was asked for', async () => {
        const { main } = await two()
        const registry = createRegistry({ main, unopened: 'throw' })
        await registry.open()
        await registry.close()

        expect(await caught(registry.scalar('select 1'))).toBeInstanceOf(UsageError)
      })
    })

    describe('a database by name', () => {
      test('is the same object each time, and a Db like any other', async () => {
        const { main, other, names } = await two()
        const registry = createRegistry({ main, extra: { other } })
        onTestFinished(async () => void (await registry.close()))

        expect(registry.using('other')).toBe(registry.using('other'))
        expect(registry.using('main')).toBe(registry)
        expect([...registry.databases.keys()]).toEqual(['main', 'other'])
        expect(await registry.using('other').transaction((tx) => tx.scalar(name))).toBe(names[1])
      })

      test('is ambient inside of a callback, for all that says the registry', async () => {
        const { main, other, names } = await two()
        const registry = createRegistry({ main, extra: { other } })
        class Note extends Model(registry, table) {}
        onTestFinished(async () => void (await registry.close()))
        const where = (): Promise<unknown> => registry.scalar(name)

        const inside = await registry.using('other', async () => [await where(), (await Note.getOr404(1)).body])

        expect(inside).toEqual([names[1], names[1]])
        expect(await where()).toBe(names[0])
        await registry.transaction(async () => {
          expect(await registry.using('other', where)).toBe(names[1])
          expect(await where()).toBe(names[0])
        })
      })

      test('has a name that is known, in types and at run time', async () => {
        const registry = createRegistry({ main: 'pglite://memory', extra: { other: 'pglite://memory/other' } })
        class Note extends Model(registry, table) {}

        // @ts-expect-error there is no such name
        expect(() => registry.using('nope')).toThrow('has no database named "nope". It has main, other.')
        // @ts-expect-error there is no such name
        expect(() => Note.using('nope')).toThrow('has no database named "nope"')
        // @ts-expect-error a name of an object's own
        expect(() => registry.using('constructor')).toThrow('has no database named "constructor"')
      })

      test('cannot be closed, bound or taken away alone', async () => {
        const { main, other } = await two()
        const registry = createRegistry({ main, extra: { other } })
        const db = registry.using('other')

        await expect(db.close()).rejects.toThrow('Close the registry')
        await expect(db.bind(main)).rejects.toThrow('withBind()')
        expect(() => db.unbind()).toThrow(UsageError)
        expect(() => registry.unbind()).toThrow(UsageError)
      })
    })

    describe('an instance is written where it came from', () => {
      test('whatever is ambient when it is', async () => {
        const { main, other, names } = await two()
        const registry = createRegistry({ main, extra: { other } })
        class Note extends Model(registry, table) {}
        onTestFinished(async () => void (await registry.close()))
        const bodies = (): Promise<unknown> =>
          Promise.all([registry, registry.using('other')].map((db) => db.scalar('select body from notes where id = 1')))

        const there = await registry.using('other', () => Note.getOr404(1))
        const byOption = await Note.getOr404(1, { on: registry.using('other') })
        const byModel = await Note.using('other').getOr404(1)
        const here = await Note.getOr404(1)

        await there.update({ body: 'a' })
        expect(await bodies()).toEqual([names[0], 'a'])
        await registry.using('other', () => here.update({ body: 'b' }))
        expect(await bodies()).toEqual(['b', 'a'])
        await byModel.update({ body: 'c' })
        await here.reload()
        expect([here.body, ...((await bodies()) as string[])]).toEqual(['b', 'b', 'c'])
        await byOption.update({ body: 'd' })
        expect(await bodies()).toEqual(['b', 'd'])
        const made = await registry.using('other', () => Note.create({ id: 2, body: 'new' }))
        await made.delete()
        expect(await registry.using('other').scalar('select count(*) from notes')).toBe(1)
      })

      test('also after the registry was closed and opened again', async () => {
        const { main, other } = await two()
        const registry = createRegistry({ main, extra: { other } })
        class Note extends Model(registry, table) {}
        const [here, there] = await registry.run(async () => [
          await Note.getOr404(1),
          await registry.using('other', () => Note.getOr404(1)),
        ])

        await registry.run(async () => {
          await here.update({ body: 'here' })
          await there.update({ body: 'there' })
          expect(await registry.scalar('select body from notes')).toBe('here')
          expect(await registry.using('other').scalar('select body from notes')).toBe('there')
        })
      })

      test('in a transaction of that database that is around', async () => {
        const { main, other } = await two()
        const registry = createRegistry({ main, extra: { other } })
        class Note extends Model(registry, table) {}
        onTestFinished(async () => void (await registry.close()))
        const there = await registry.using('other', () => Note.getOr404(1))

        await registry
          .using('other')
          .transaction(async (tx) => {
            await there.update({ body: 'undone' })
            expect(await tx.scalar('select body from notes')).toBe('undone')
            throw new TypeError('left')
          })
          .catch(() => {})

        expect(await registry.using('other').scalar('select body from notes')).not.toBe('undone')
      })
    })

    test('a plug-in opens it, gives requests its connections, and closes it', async () => {
      const { main, other, names } = await two()
      const registry = createRegistry({ main, extra: { other } })
      const heard = warnings()
      const app = Fastify()
      await app.register(genever, { db: registry, log: false })
      app.get('/', async (request) => [
        await registry.scalar(name),
        await (request as unknown as { db: Db }).db.scalar(name),
        await registry.using('other').scalar(name),
      ])

      expect((await app.inject('/')).json()).toEqual([names[0], names[0], names[1]])
      expect([registry, registry.using('other')].map(state)).toEqual(['open', 'open'])
      await app.close()
      expect([registry, registry.using('other')].map(state)).toEqual(['closed', 'closed'])

      await registry.scalar('select 1')
      await registry.close()
      expect(heard.map((warning) => warning.name)).toContain('DatabaseNotConnectedWarning')
    })

    describe('what createRegistry is given', () => {
      test.each([
        ['nothing', {}, 'createRegistry() needs main'],
        ['an option there is not', { main: 'pglite://memory', mian: 1 }, '"mian"'],
        ['a database named main', { main: 'pglite://memory', extra: { main: 'pglite://memory' } }, '"main"'],
        ['an empty name', { main: 'pglite://memory', extra: { '': 'pglite://memory' } }, '""'],
        ['a name with blanks', { main: 'pglite://memory', extra: { ' a': 'pglite://memory' } }, '" a"'],
        ['a list of databases', { main: 'pglite://memory', extra: ['pglite://memory'] }, 'extra'],
        ['a number for a source', { main: 7 }, 'not a number'],
        [
          'undefined for a further source',
          { main: 'pglite://memory', extra: { other: undefined } },
          'environment variable',
        ],
      ])('%s is refused', (_, options, message) => {
        expect(() => createRegistry(options as never)).toThrow(message)
      })

      test('options with a url are both', async () => {
        const { main } = await two()
        const registry = createRegistry({ main: { url: main, pool: { max: 3 } } })

        await registry.open()

        expect(registry.stats().max).toBe(3)
        await registry.close()
      })
    })
  },
  { connections: 2 },
)
