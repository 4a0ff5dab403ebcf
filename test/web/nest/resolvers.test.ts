/** Handlers that Nest calls otherwise than by routes of HTTP, as the resolvers of GraphQL: several of one request, at the same time. */

import { Controller, Get, Inject, type Type } from '@nestjs/common'
import { ExternalContextCreator } from '@nestjs/core'
import type { Db } from 'genever'
import { GeneverModule, Transactional, TransactionalRoute } from 'genever/nest'
import { beforeEach, describe, expect, test } from 'vitest'
import { pid } from '../../support/matrix.ts'
import { ask } from '../client.ts'
import { notesTable } from '../notes.ts'
import { platforms, start } from './app.ts'

const notes = notesTable()
let db: Db
beforeEach(async () => {
  db = await notes.open(2)
})

const note = (text: string): Promise<unknown> => db.status('insert into notes values ($1)', [text])

/** A route of HTTP that calls these resolvers at once, each through the guards and interceptors of Nest, and gives their results. */
function calling(resolver: Type, names: readonly string[]): Type {
  class Endpoint {
    readonly #creator: ExternalContextCreator
    readonly #resolvers: Record<string, (...given: unknown[]) => unknown>
    constructor(creator: ExternalContextCreator, resolvers: Record<string, (...given: unknown[]) => unknown>) {
      this.#creator = creator
      this.#resolvers = resolvers
    }

    async ask(): Promise<unknown> {
      const results = await Promise.allSettled(
        names.map(async (name) => {
          const resolve = this.#creator.create(
            this.#resolvers,
            this.#resolvers[name]!,
            name,
            undefined,
            undefined,
            undefined,
            undefined,
            undefined,
            'graphql',
          )
          return resolve()
        }),
      )
      return results.map((result) => (result.status === 'fulfilled' ? result.value : String(result.reason)))
    }
  }
  Controller()(Endpoint)
  Inject(ExternalContextCreator)(Endpoint, undefined, 0)
  Inject(resolver)(Endpoint, undefined, 1)
  Get()(Endpoint.prototype, 'ask', Object.getOwnPropertyDescriptor(Endpoint.prototype, 'ask')!)
  return Endpoint
}

describe.each(platforms)('resolvers of one request on %s', (platform) => {
  const answers = async (resolver: Type, names: readonly string[], transaction = false): Promise<unknown> => {
    await using app = await start(platform, {
      imports: [GeneverModule.forRoot({ db, log: false, transaction })],
      controllers: [calling(resolver, names)],
      providers: [resolver],
    })
    const { body } = await ask(app.port, 'GET /')
    return body
  }

  class Resolver {
    async read(): Promise<number> {
      return pid(db)
    }

    @Transactional()
    async write(): Promise<number> {
      await note('written')
      return pid(db)
    }

    @Transactional()
    async fail(): Promise<never> {
      await note('undone')
      throw new RangeError('boom')
    }

    @TransactionalRoute()
    async route(): Promise<void> {
      await note('never')
    }

    @TransactionalRoute(false)
    async without(): Promise<string> {
      await note('without')
      return 'without'
    }
  }

  test('that run at the same time share its connection, and each transaction is one of its own', async () => {
    const [one, two, failed, three] = (await answers(Resolver, ['write', 'write', 'fail', 'write'])) as unknown[]

    expect([one, two, three]).toEqual([one, one, one])
    expect(failed).toBe('RangeError: boom')
    expect(await notes.kept()).toEqual(['written', 'written', 'written'])
  })

  test('are all in its transaction, where the module puts every request into one', async () => {
    const [read, failed, written] = (await answers(Resolver, ['read', 'fail', 'write'], true)) as unknown[]

    expect([failed, written]).toEqual(['RangeError: boom', read])
  })

  test('have no TransactionalRoute(), which is refused by name', async () => {
    const [refused, without] = (await answers(Resolver, ['route', 'without'])) as unknown[]

    expect(refused).toContain('UsageError: TransactionalRoute() is for handlers of HTTP requests')
    expect(without).toBe('without')
    expect(await notes.kept()).toEqual(['without'])
  })
})
