/** `NotFoundError` in Nest: its own exception for whoever asks, wherever filters stand, on either platform. */

import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type DynamicModule,
  type ExceptionFilter,
  Get,
  HttpException,
  Injectable,
  type NestInterceptor,
  Param,
  type PipeTransform,
  Res,
  Scope,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  VersioningType,
} from '@nestjs/common'
import { APP_FILTER } from '@nestjs/core'
import { createDb, NotFoundError } from 'genever'
import { GeneverModule, InjectDb } from 'genever/nest'
import type { Observable } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { databaseUrl } from '../../support/database.ts'
import { ask, head, send } from '../client.ts'
import { create, listen, logger, type Parts, platforms, type Sender, start } from './app.ts'

class Missing extends NotFoundError {}

const missing = (): never => {
  throw new Missing('Bottle is not found')
}
const body = { statusCode: 404, message: 'Bottle is not found', error: 'Not Found' }

/** Answers with what it was shown. */
function tell(by: string, error: unknown, host: ArgumentsHost): void {
  const { name, cause } = error as Error
  const answer = { by, saw: name, cause: (cause as Error | undefined)?.name }
  host.switchToHttp().getResponse<Sender>().status(404).send(answer)
}
const told = (by: string): unknown => ({ status: 404, body: { by, saw: 'NotFoundException', cause: 'Missing' } })

@Catch(HttpException)
class HttpFilter implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    tell('http', error, host)
  }
}

@Catch()
class EveryFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    tell('every', error, host)
  }
}

async function database(): Promise<ReturnType<typeof createDb>> {
  return createDb(await databaseUrl())
}

const connected = (db: ReturnType<typeof createDb>, parts: Parts): Parts & { imports: (DynamicModule | Type)[] } => ({
  ...parts,
  imports: [GeneverModule.forRoot({ db, log: false })],
})

describe.each(platforms)('what is not found, on %s,', (platform) => {
  test("is Nest's own 404, unlogged, from handlers, pipes, guards and interceptors", async () => {
    await using db = await database()
    class Pipe implements PipeTransform {
      transform(): never {
        return missing()
      }
    }
    class Guard implements CanActivate {
      canActivate(): never {
        return missing()
      }
    }
    class Around implements NestInterceptor {
      intercept(_context: unknown, _next: CallHandler): Observable<unknown> {
        return missing()
      }
    }
    @Controller()
    class Bottles {
      @Get('handler')
      async handler(): Promise<void> {
        missing()
      }
      @Get('sync')
      sync(): void {
        missing()
      }
      @Get('pipe')
      pipe(@Param('id', Pipe) _id: string): void {}
      @Get('guard')
      @UseGuards(Guard)
      guard(): void {}
      @Get('interceptor')
      @UseInterceptors(Around)
      interceptor(): void {}
      @Get('other')
      other(): void {
        throw new TypeError('secret')
      }
    }
    const log = logger()
    await using app = await start(platform, connected(db, { controllers: [Bottles] }), log)

    for (const path of ['handler', 'sync', 'pipe', 'guard', 'interceptor'])
      expect(await ask(app.port, `GET /${path}`), path).toEqual({ status: 404, body })
    expect(log.lines).toEqual([])
    expect((await ask(app.port, 'GET /other')).body).toEqual({ statusCode: 500, message: 'Internal server error' })
  })

  test('is shown to filters of a handler, of a controller and of its base class as what Nest calls it', async () => {
    await using db = await database()
    @Injectable()
    class Injected extends HttpFilter {
      readonly #db: unknown
      constructor(@InjectDb() given: unknown) {
        super()
        this.#db = given
      }
      override catch(error: HttpException, host: ArgumentsHost): void {
        tell(this.#db === db ? 'injected' : 'made by nobody', error, host)
      }
    }
    class Base {
      @Get('inherited')
      inherited(): void {
        missing()
      }
    }
    @Controller('plain')
    class Plain extends Base {
      @Get('http')
      @UseFilters(HttpFilter)
      http(): void {
        missing()
      }
      @Get('every')
      @UseFilters(new EveryFilter())
      every(): void {
        missing()
      }
    }
    @Controller('filtered')
    @UseFilters(Injected)
    class Filtered extends Base {}
    const log = logger()
    await using app = await start(platform, connected(db, { controllers: [Plain, Filtered] }), log)

    expect(await ask(app.port, 'GET /plain/http')).toEqual(told('http'))
    expect(await ask(app.port, 'GET /plain/every')).toEqual(told('every'))
    expect(await ask(app.port, 'GET /plain/inherited')).toEqual({ status: 404, body })
    expect(await ask(app.port, 'GET /filtered/inherited')).toEqual(told('injected'))
    expect(log.lines).toEqual([])
  })

  test.each([HttpFilter, EveryFilter])(
    'is shown to %o of the whole application, however it is given',
    async (Filter) => {
      @Controller({ path: 'bottles', version: '1' })
      class Bottles {
        @Get()
        get(): void {
          missing()
        }
      }
      @Controller({ path: 'glasses', scope: Scope.REQUEST, version: '1' })
      class Glasses {
        @Get()
        async get(): Promise<void> {
          missing()
        }
      }
      const by = Filter === HttpFilter ? 'http' : 'every'
      for (const scope of [null, Scope.DEFAULT, Scope.REQUEST]) {
        await using db = await database()
        const providers = scope === null ? [] : [{ provide: APP_FILTER, useClass: Filter, scope }]
        const nest = await create(platform, connected(db, { controllers: [Bottles, Glasses], providers }))
        nest.setGlobalPrefix('api')
        nest.enableVersioning({ type: VersioningType.URI })
        if (scope === null) nest.useGlobalFilters(new Filter())
        await using app = await listen(nest)

        expect(await ask(app.port, 'GET /api/v1/bottles'), String(scope)).toEqual(told(by))
        expect(await ask(app.port, 'GET /api/v1/glasses'), String(scope)).toEqual(told(by))
      }
    },
  )

  test('ends an answer that has begun', async () => {
    await using db = await database()
    @Controller()
    class Bottles {
      @Get()
      get(@Res() response: { raw?: Writer; hijack?: () => void } & Writer): void {
        response.hijack?.()
        ;(response.raw ?? response).write('half')
        missing()
      }
    }
    await using app = await start(platform, connected(db, { controllers: [Bottles] }))
    const answer = await head(send(app.port, 'GET /'))
    let text = ''
    for await (const piece of answer) text += String(piece)

    expect(text).toBe('half')
  })

  test('is left to Nest on demand', async () => {
    await using db = await database()
    @Controller()
    class Bottles {
      @Get()
      get(): void {
        missing()
      }
    }
    const log = logger()
    const imports = [GeneverModule.forRoot({ db, log: false, notFound: false })]
    await using app = await start(platform, { imports, controllers: [Bottles] }, log)

    expect(await ask(app.port, 'GET /')).toEqual({
      status: 404,
      body: { statusCode: 404, message: 'Bottle is not found' },
    })
    expect(log.lines).toHaveLength(1)
  })
})

interface Writer {
  write(text: string): unknown
}
