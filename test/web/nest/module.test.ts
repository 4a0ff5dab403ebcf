/** `GeneverModule`: databases by name, what is injected, start and end. */

import { Controller, Get, Inject, Injectable, type OnModuleInit, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ConnectError, type Connection, createDb, Db, InvalidOptionError, PoolClosedError, UsageError } from 'genever'
import {
  GeneverModule,
  getDbToken,
  InjectDb,
  InjectModel,
  RequestConnection,
  GeneverHealthIndicator,
  getHealthToken,
} from 'genever/nest'
import { Model } from 'genever/models'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { caught } from '../../support/caught.ts'
import { databaseUrl } from '../../support/database.ts'
import { freePort } from '../../support/free-port.ts'
import { gate } from '../../support/gate.ts'
import { pid } from '../../support/matrix.ts'
import { until } from '../../support/until.ts'
import { ask, send } from '../client.ts'
import { create, logger, listen, moduleOf, type Parts, platforms, start } from './app.ts'

const context = (parts: Parts, log: ReturnType<typeof logger> | false = false) =>
  NestFactory.createApplicationContext(moduleOf(parts), { logger: log, abortOnError: false })

/** An address where nobody listens. */
async function nobody(): Promise<string> {
  return `postgres://app:secret@127.0.0.1:${await freePort()}/shop`
}

describe('what is injected', () => {
  test('is the open database, by its class, by InjectDb and by name; from options, a factory, or as it is', async () => {
    const url = await databaseUrl()
    const own = createDb(url)
    @Injectable()
    class Service implements OnModuleInit {
      readonly all: readonly Db[]
      answer: unknown
      constructor(
        @Inject(Db) byClass: Db,
        @InjectDb() main: Db,
        @InjectDb('reports') reports: Db,
        @InjectDb('own') third: Db,
      ) {
        this.all = [byClass, main, reports, third]
      }
      async onModuleInit(): Promise<void> {
        this.answer = await Promise.all(this.all.map((db) => db.scalar('select 1')))
      }
    }
    const config = { provide: 'CONFIG', useValue: { url } }
    class Config {}
    const app = await context({
      imports: [
        GeneverModule.forRoot({ url, poolMaxSize: 2 }),
        GeneverModule.forRootAsync({
          name: 'reports',
          imports: [{ module: Config, providers: [config], exports: ['CONFIG'] }],
          inject: ['CONFIG'],
          useFactory: async (given: { url: string }) => ({ dsn: given.url, pool: { max: 3 } }),
        }),
        GeneverModule.forRoot({ db: own }, 'own'),
      ],
      providers: [Service],
    })
    const service = app.get(Service)

    expect(service.answer).toEqual([1, 1, 1, 1])
    expect(service.all[0]).toBe(service.all[1])
    expect(service.all.map((db) => db.stats().max)).toEqual([2, 2, 3, 10])
    expect([app.get(getDbToken('own')), app.get(getDbToken())]).toEqual([own, service.all[0]])
    await app.close()
    expect(service.all.map(String)).toEqual(service.all.map(() => 'Db { closed }'))
  })

  test('is a model of forFeature, where it belongs to that database', async () => {
    const url = await databaseUrl()
    const [db, other] = [createDb(), createDb(url)]
    const bottles = pgTable('bottles', { id: integer('id').primaryKey(), name: text('name') })
    class Bottle extends Model(db, bottles) {}
    @Injectable()
    class Service {
      readonly bottles: typeof Bottle
      constructor(@InjectModel(Bottle) given: typeof Bottle) {
        this.bottles = given
      }
    }
    class Plain {}
    const features = (models: Type[]) => [
      GeneverModule.forRoot({ db, url }),
      GeneverModule.forRoot({ db: other }, 'other'),
      ...models,
    ]
    const app = await context({
      imports: [...features([]), GeneverModule.forFeature([Bottle])],
      providers: [Service],
    })
    expect(app.get(Service).bottles).toBe(Bottle)

    const wrong = (feature: ReturnType<typeof GeneverModule.forFeature>) =>
      caught(context({ imports: [GeneverModule.forRoot({ db: other }), feature] }))
    expect((await wrong(GeneverModule.forFeature([Bottle]))).message).toContain(
      'The model Bottle was made with another db',
    )
    expect((await wrong(GeneverModule.forFeature([Plain]))).message).toContain('Plain is not one')
    await app.close()
  })

  test.each(platforms)('on %s is the connection of the request, without request-scoped providers', async (platform) => {
    @Controller()
    class Bottles {
      readonly db: Db
      readonly reports: Db
      constructor(@InjectDb() db: Db, @InjectDb('reports') reports: Db) {
        this.db = db
        this.reports = reports
      }
      @Get('same')
      async same(@RequestConnection() main: Connection, @RequestConnection('reports') reports: Connection) {
        const [one, two] = await Promise.all([pid(main), pid(reports)])
        const same = [main === this.db.current, reports === this.reports.current, one !== two]
        return [...same, (await pid(this.db)) === one]
      }
    }
    const db = createDb(await databaseUrl())
    const reports = createDb(await databaseUrl())
    await using app = await start(platform, {
      imports: [
        GeneverModule.forRoot({ db, log: false }),
        GeneverModule.forRoot({ db: reports, log: false }, 'reports'),
      ],
      controllers: [Bottles],
    })

    expect((await ask(app.port, 'GET /same')).body).toEqual([true, true, true, true])
    await until(() => db.stats().reserved === 0 && reports.stats().reserved === 0)
  })
})

describe('the start', () => {
  test('tries again, says so by the logger of Nest, and fails when the database stays away', async () => {
    const log = logger()
    const url = await nobody()
    const options = { url, retry: { limit: 2, intervalMs: 1 } }

    expect(await caught(create('express', { imports: [GeneverModule.forRoot(options)] }, log))).toBeInstanceOf(
      ConnectError,
    )
    const waiting = (n: number) => expect.stringContaining(`warn Waiting for the database to start: retry ${n} of 2`)
    const ours = log.lines.filter((line) => line.includes('atabase'))
    expect(ours.slice(0, 3)).toEqual([
      waiting(1),
      waiting(2),
      expect.stringContaining('error The database could not be opened in 3 attempts'),
    ])
    expect(log.lines.join()).not.toContain('secret')
  })

  test('succeeds once the database has come up', async () => {
    const log = logger()
    const urls = [await nobody(), await databaseUrl()]
    const url = (): string => urls.shift()!
    const app = await context({ imports: [GeneverModule.forRoot({ url, retryInterval: 0.001 })] }, log)
    const db = app.get(Db)

    expect(await db.scalar('select 1')).toBe(1)
    await app.close()
    expect(log.lines.map((line) => line.split(':')[0])).toEqual([
      'warn Waiting for the database to start',
      'log The database is open',
      'log The database is closed.',
    ])
  })

  test('refuses wrong options, a name that is taken, and a property that is taken', async () => {
    const url = await databaseUrl()
    const starting = (...imports: NonNullable<Parts['imports']>) => caught(create('fastify', { imports }))
    const wrong = { url, log: false as const, poolSize: 3, drainTimeoutMs: -1 }
    expect(await starting(GeneverModule.forRoot(wrong))).toBeInstanceOf(InvalidOptionError)
    expect((await starting(GeneverModule.forRoot({ url, log: false, poolSize: 3 } as object))).message).toContain(
      '"poolSize" is not an option',
    )
    const twice = await starting(
      GeneverModule.forRoot({ url, log: false }, 'shop'),
      GeneverModule.forRoot({ url, log: false }, 'shop'),
    )
    expect([twice instanceof UsageError, twice.message]).toEqual([
      true,
      expect.stringContaining('GeneverModule was imported twice with the name "shop"'),
    ])
    const both = [
      GeneverModule.forRoot({ url, log: false }),
      GeneverModule.forRoot({ url, log: false, as: 'db' }, 'shop'),
    ]
    for (const platform of platforms) {
      const app = await create(platform, { imports: both })
      const seen = platform === 'fastify' ? await caught(app.init()) : await refused(app)
      expect(seen.message, platform).toContain('has a property "db" already')
      await app.close()
    }
  })

  test('refuses another db in the place of its own, which requests would not use, but no stand-in; and one that was closed', async () => {
    const url = await databaseUrl()
    await using other = createDb(url)
    const module = GeneverModule.forRoot({ url, log: false })
    // As overrideProvider() of @nestjs/testing does it.
    const overridden = (useValue: object) => ({
      ...module,
      providers: [...module.providers!, { provide: Db, useValue }],
    })
    const app = await context({ imports: [overridden({ scalar: () => 'nothing' })] })
    expect(app.get<{ scalar(): unknown }>(Db).scalar()).toBe('nothing')
    await app.close()

    expect((await caught(context({ imports: [overridden(other)] }))).message).toContain(
      'Give the other one to the module',
    )
    const own = createDb(url)
    await (await context({ imports: [GeneverModule.forRoot({ db: own, log: false })] })).close()
    expect(await caught(context({ imports: [GeneverModule.forRoot({ db: own, log: false })] }))).toBeInstanceOf(
      PoolClosedError,
    )
  })

  test('is once for a module that is imported in several places', async () => {
    const module = GeneverModule.forRoot({ url: await databaseUrl(), log: false })
    const app = await context({ imports: [module, moduleOf({ imports: [module] })] })
    expect(await app.get(Db).scalar('select 1')).toBe(1)
    await app.close()
  })
})

async function refused(app: Awaited<ReturnType<typeof create>>): Promise<Error> {
  const log = logger()
  app.useLogger(log)
  const { port } = await listen(app)
  await ask(port, 'GET /')
  return new Error(log.lines.join())
}

describe('the end', () => {
  test.each(platforms)('on %s answers running requests, then closes the database', async (platform) => {
    const [begun, go] = [gate(), gate()]
    const db = createDb(await databaseUrl())
    @Controller()
    class Slow {
      @Get('slow')
      async slow() {
        await pid(db)
        begun.open()
        await go.promise
        return { ran: (await pid(db)) > 0 }
      }
    }
    const { nest, port, server } = await start(platform, {
      imports: [GeneverModule.forRoot({ db, log: false })],
      controllers: [Slow],
    })
    const reply = ask(port, 'GET /slow')
    await begun.promise
    const closing = nest.close()
    await until(() => !server.listening)
    expect(String(db)).not.toBe('Db { closed }')
    go.open()

    await closing
    expect(String(db)).toBe('Db { closed }')
    expect((await reply).body).toEqual({ ran: true })
  })

  test('never hangs: not on a request without an answer, and not on a connection that never comes back', async () => {
    const begun = gate()
    const db = createDb(await databaseUrl())
    @Controller()
    class Leak {
      @Get('leak')
      async leak() {
        await db.acquire()
        begun.open()
        await new Promise(() => {})
      }
    }
    const log = logger()
    const nest = await create(
      'express',
      { imports: [GeneverModule.forRoot({ db, drainTimeoutMs: 30, closeTimeoutMs: 30 })], controllers: [Leak] },
      log,
    )
    const { port } = await listen(nest)
    send(port, 'GET /leak')
    await begun.promise
    await nest.close()

    expect(String(db)).toBe('Db { closed }')
    expect(log.lines.join('\n')).toContain('connections that did not come back were broken')
  })

  test('comes by signals where Nest was told to listen to them, and only there', async () => {
    const before = process.listenerCount('SIGUSR2')
    const db = createDb(await databaseUrl())
    const app = await context({ imports: [GeneverModule.forRoot({ db, log: false })] })
    expect(process.listenerCount('SIGUSR2')).toBe(before)
    // Nest sends itself the signal again when it is done: this keeps the process.
    const done = new Promise((resolve) => process.on('SIGUSR2', () => String(db) === 'Db { closed }' && resolve(true)))
    app.enableShutdownHooks(['SIGUSR2'])
    process.kill(process.pid, 'SIGUSR2')

    expect(await done).toBe(true)
    process.removeAllListeners('SIGUSR2')
  })
})

describe('readiness', () => {
  test.each(platforms)('on %s is a route by option, for terminus an indicator', async (platform) => {
    const db = createDb(await databaseUrl(), { pool: { max: 1 } })
    const other = createDb(await databaseUrl())
    await using app = await start(platform, {
      imports: [
        GeneverModule.forRoot({ db, log: false, transaction: true, health: '/ready' }),
        GeneverModule.forRoot({ db: other, log: false }, 'other'),
      ],
    })
    const indicator = app.nest.get(GeneverHealthIndicator)
    const check = async () => indicator.pingCheck('database', { timeoutMs: 20_000 })
    expect(await ask(app.port, 'GET /ready')).toMatchObject({ status: 200, body: { status: 'ok', pool: { max: 1 } } })
    expect(await check()).toEqual({
      database: { status: 'up', responseTime: expect.any(Number), pool: expect.objectContaining({ max: 1 }) },
    })
    const held = await db.acquire()
    expect(await indicator.pingCheck('database').withTimeout(20)).toEqual({
      database: {
        status: 'down',
        message: expect.stringMatching(/^GENEVER_/),
        responseTime: expect.any(Number),
        pool: expect.objectContaining({ reserved: 1 }),
      },
    })
    expect(
      await app.nest.get<GeneverHealthIndicator>(getHealthToken('other')).pingCheck('other', { timeoutMs: 20_000 }),
    ).toMatchObject({
      other: { status: 'up' },
    })
    expect(() => indicator.pingCheck('database').withTimeout(-1)).toThrow(UsageError)
    await held.release()
  })
})
