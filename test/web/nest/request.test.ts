/** What only Nest has around a handler: guards, pipes, interceptors, filters, `@Res()`, observables, events. */

import {
  type ArgumentsHost,
  Body,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  HttpCode,
  type MiddlewareConsumer,
  Module,
  type NestInterceptor,
  Param,
  type PipeTransform,
  Post,
  Res,
  Sse,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common'
import { type Connection, createDb, type Db, InvalidOptionError } from 'genever'
import { GeneverModule, RequestConnection, TransactionalRoute } from 'genever/nest'
import { map, type Observable, of } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../../support/caught.ts'
import { databaseUrl, freshDatabase } from '../../support/database.ts'
import { hear } from '../../support/events.ts'
import { pid } from '../../support/matrix.ts'
import { until } from '../../support/until.ts'
import { ask, head, send } from '../client.ts'
import { create, listen, type Listening, logger, platforms, type Sender, start } from './app.ts'

/** How many transactions are open on the connection, savepoints included. */
async function savepoints(db: Db): Promise<number> {
  await pid(db)
  return Number(/(\d+) open transaction/.exec(String(db.current))?.[1])
}

describe.each(platforms)('on %s', (platform) => {
  test('middlewares of modules, guards, interceptors, pipes, handlers and filters share one connection', async () => {
    await using db = createDb(await databaseUrl(), { name: `nest inside ${platform}` })
    const seen: Record<string, number> = {}
    const look = async (where: string): Promise<void> => {
      seen[where] = await pid(db)
    }
    class Guard implements CanActivate {
      async canActivate(): Promise<boolean> {
        await look('guard')
        return true
      }
    }
    class Around implements NestInterceptor {
      async intercept(_context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
        await look('interceptor')
        return next.handle().pipe(map((value) => look('after').then(() => value)))
      }
    }
    class Pipe implements PipeTransform {
      async transform(value: string): Promise<string> {
        await look('pipe')
        return value
      }
    }
    @Catch(TypeError)
    class Filter implements ExceptionFilter {
      async catch(_error: TypeError, host: ArgumentsHost): Promise<void> {
        await look('filter')
        host.switchToHttp().getResponse<Sender>().status(418).send({ filtered: true })
      }
    }
    @Controller('bottles')
    @UseGuards(Guard)
    @UseInterceptors(Around)
    @UseFilters(Filter)
    class Bottles {
      @Get(':id')
      async get(@Param('id', Pipe) _id: string): Promise<void> {
        await look('handler')
        throw new TypeError('for the filter')
      }
      @Post()
      async post(@Body() body: object, @RequestConnection() connection: Connection): Promise<object> {
        return { body, same: connection === db.current, pid: (await pid(connection)) === (await pid(db)) }
      }
    }
    class App {
      configure(consumer: MiddlewareConsumer): void {
        const middleware = async (_request: unknown, _response: unknown, next: () => void): Promise<void> => {
          await look('middleware')
          next()
        }
        consumer.apply(middleware).forRoutes(Bottles)
      }
    }
    Module({ imports: [GeneverModule.forRoot({ db, log: false })], controllers: [Bottles] })(App)
    await using app = await start(platform, { imports: [App] })
    using heard = hear(`nest inside ${platform}`)

    expect(await ask(app.port, 'GET /bottles/1')).toMatchObject({ status: 418 })
    expect(Object.keys(seen)).toEqual(['middleware', 'guard', 'interceptor', 'pipe', 'handler', 'filter'])
    expect(new Set(Object.values(seen)).size).toBe(1)
    await until(() => db.stats().reserved === 0)
    expect(heard.leases.map(({ event }) => event)).toEqual(['acquire', 'release'])
    const reply = await fetch(`http://127.0.0.1:${app.port}/bottles`, {
      method: 'POST',
      body: '{"n":1}',
      headers: { 'content-type': 'application/json' },
    })
    expect(await reply.json()).toEqual({ body: { n: 1 }, same: true, pid: true })
    await until(() => db.stats().reserved === 0)
  })

  test('every request has its connection, whatever the prefix', async () => {
    await using db = createDb(await databaseUrl())
    @Controller('bottles')
    class Bottles {
      @Get()
      get(@RequestConnection() connection: Connection): object {
        return { current: connection === db.current }
      }
    }
    const nest = await create(platform, {
      imports: [GeneverModule.forRoot({ db, log: false, health: 'ready' })],
      controllers: [Bottles],
    })
    nest.setGlobalPrefix('api', { exclude: ['ready'] })
    await using app = await listen(nest)

    expect((await ask(app.port, 'GET /api/bottles')).body).toEqual({ current: true })
    expect((await ask(app.port, 'GET /ready')).body).toMatchObject({ status: 'ok' })
    expect((await ask(app.port, 'GET /nowhere')).status).toBe(404)
  })

  describe('a route in a transaction', () => {
    async function setUp(): Promise<{ db: Db; rows: () => Promise<unknown[]> } & AsyncDisposable> {
      const database = await freshDatabase('create table orders (text text)')
      const db = createDb(database.url)
      return {
        db,
        rows: async () => (await db.all<{ text: string }>('select text from orders')).map(({ text }) => text),
        async [Symbol.asyncDispose]() {
          await db.close()
          await database[Symbol.asyncDispose]()
        },
      }
    }

    test('is so by its controller, by itself, or by the module; and each can say otherwise', async () => {
      await using shop = await setUp()
      const { db, rows } = shop
      const insert = async (text: string): Promise<never> => {
        await db.sql`insert into orders values (${text})`
        throw new TypeError('boom')
      }
      @Controller('on')
      @TransactionalRoute()
      class On {
        @Post()
        post(): Promise<unknown> {
          return insert('on')
        }
        @Post('off')
        @TransactionalRoute(false)
        off(): Promise<unknown> {
          return insert('on, but off')
        }
        @Post('own')
        @TransactionalRoute()
        own(): Promise<unknown> {
          return db.transaction(async (tx) => ({ inside: tx.connection === db.current, open: await savepoints(db) }))
        }
        @Post('level')
        @TransactionalRoute({ isolation: 'serializable', readOnly: true })
        @HttpCode(202)
        level(): Promise<unknown> {
          return db.first("select current_setting('transaction_isolation') as level")
        }
      }
      @Controller('off')
      class Off {
        @Post()
        post(): Promise<unknown> {
          return insert('off')
        }
      }
      const apps: Listening[] = []
      for (const transaction of [false, true]) {
        const module = GeneverModule.forRoot({ db, log: false, transaction, closeTimeoutMs: 100 })
        const app = await start(platform, { imports: [module], controllers: [On, Off] })
        for (const path of ['on', 'on/off', 'off']) expect((await ask(app.port, `POST /${path}`)).status).toBe(500)
        // One of the route, with a savepoint in it: controller, handler and module make one together.
        expect((await ask(app.port, 'POST /on/own')).body).toEqual({ inside: true, open: 2 })
        expect(await ask(app.port, 'POST /on/level')).toEqual({ status: 202, body: { level: 'serializable' } })
        apps.push(app)
      }

      expect(await rows()).toEqual(['on, but off', 'off', 'on, but off'])
      for (const app of apps) await app[Symbol.asyncDispose]()
      expect(thrownBy(() => TransactionalRoute({ retry: 3 } as object))).toBeInstanceOf(InvalidOptionError)
    })

    test('needs a module of the database it names', async () => {
      @Controller()
      class Orders {
        @Post()
        @TransactionalRoute(true, 'reports')
        post(): void {}
      }
      await using shop = await setUp()
      const imports = [GeneverModule.forRoot({ db: shop.db, log: false })]
      const nest = await caught(create(platform, { imports, controllers: [Orders] }))

      expect(nest.message).toContain('genever:reports:host')
    })

    test('can be asked for beside a factory, not by it', async () => {
      await using shop = await setUp()
      const { db, rows } = shop
      @Controller()
      class Orders {
        @Post()
        @HttpCode(409)
        post(): Promise<unknown> {
          return db.status("insert into orders values ('undone')")
        }
      }
      const factory = { useFactory: () => ({ db, log: false as const }) }
      const beside = GeneverModule.forRootAsync({ ...factory, transaction: true, health: 'ready' })
      await using app = await start(platform, { imports: [beside], controllers: [Orders] })
      expect((await ask(app.port, 'POST /')).status).toBe(409)
      expect((await ask(app.port, 'GET /ready')).status).toBe(200)
      expect(await rows()).toEqual([])

      const inside = { useFactory: () => ({ db, transaction: true }) as object }
      const refused = await caught(create(platform, { imports: [GeneverModule.forRootAsync(inside)] }))
      expect(refused.message).toContain('"transaction" must stand beside the factory')
    })

    test('is committed before a handler that answers by @Res() is heard, and rolled back by its status', async () => {
      await using shop = await setUp()
      const { db, rows } = shop
      await db.status(`
        create function refuse() returns trigger language plpgsql as $$ begin
          if new.text = 'refused' then raise exception 'refused at commit'; end if;
          perform pg_sleep(0.1);
          return null;
        end $$;
        create constraint trigger refusing after insert on orders deferrable initially deferred
          for each row execute function refuse();`)
      @Controller('orders')
      class Orders {
        @Post(':text/:status')
        @TransactionalRoute()
        async post(
          @Param('text') text: string,
          @Param('status') status: string,
          @Res() response: Sender,
        ): Promise<void> {
          await db.sql`insert into orders values (${text})`
          response.status(Number(status)).send({ text })
        }
      }
      const log = logger()
      await using app = await start(platform, { imports: [GeneverModule.forRoot({ db })], controllers: [Orders] }, log)
      const sent = await head(send(app.port, 'POST /orders/kept/201'))
      expect([sent.statusCode, await rows()]).toEqual([201, ['kept']])
      sent.resume()
      expect(await ask(app.port, 'POST /orders/conflict/409')).toEqual({ status: 409, body: { text: 'conflict' } })
      expect(await ask(app.port, 'POST /orders/refused/201')).toEqual({
        status: 500,
        body: { statusCode: 500, message: 'Internal server error' },
      })

      expect(await rows()).toEqual(['kept'])
      expect(log.lines.join('\n')).toContain('A transaction failed when its handler had answered')
      await until(() => db.stats().reserved === 0)
    })

    test('is rolled back by an error that a filter answers as a success; takes observables, leaves events alone', async () => {
      await using shop = await setUp()
      const { db, rows } = shop
      @Catch(TypeError)
      class Filter implements ExceptionFilter {
        catch(_error: TypeError, host: ArgumentsHost): void {
          host.switchToHttp().getResponse<Sender>().status(200).send({ fine: true })
        }
      }
      const insert = (text: string): Promise<unknown> => db.status('insert into orders values ($1)', [text])
      @Controller()
      class Orders {
        @Post('fine')
        @UseFilters(Filter)
        async fine(): Promise<void> {
          await insert('undone')
          throw new TypeError('boom')
        }
        @Post('observable')
        observable(): Observable<Promise<object>> {
          return of('kept').pipe(map((text) => insert(text).then(() => ({ text }))))
        }
        @Sse('events')
        events(): Observable<{ data: string }> {
          return of({ data: 'one' }, { data: 'two' })
        }
      }
      await using app = await start(platform, {
        imports: [GeneverModule.forRoot({ db, log: false, transaction: true })],
        controllers: [Orders],
      })
      expect(await ask(app.port, 'POST /fine')).toEqual({ status: 200, body: { fine: true } })
      expect(await ask(app.port, 'POST /observable')).toEqual({ status: 201, body: { text: 'kept' } })
      expect((await ask(app.port, 'GET /events')).body).toMatch(/data: one[^]*data: two/)

      expect(await rows()).toEqual(['kept'])
    })
  })
})
