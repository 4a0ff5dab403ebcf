/** Handlers need no casts: the connection of a request is typed, by its default name and by another. */

import type { IncomingMessage } from 'node:http'
import express from 'express'
import Fastify from 'fastify'
import { type Connection, createDb, type Db } from 'genever'
import { genever as expressPlugin } from 'genever/express'
import { genever as fastifyPlugin } from 'genever/fastify'
import 'genever/fastify/types'
import { genever as httpPlugin } from 'genever/http'
import { genever as koaPlugin } from 'genever/koa'
import Koa from 'koa'
import { expect, expectTypeOf, test } from 'vitest'

test('the connection of a request is typed in every framework', () => {
  const db = createDb()

  httpPlugin(db).handler((request) => expectTypeOf(request.db).toEqualTypeOf<Connection>())
  httpPlugin(db, { as: 'shop' }).handler((request) => {
    expectTypeOf(request.shop).toEqualTypeOf<Connection>()
    expectTypeOf(request).toExtend<IncomingMessage>()
    // @ts-expect-error -- it has another name
    void request.db
  })

  const app = express().use(expressPlugin(db))
  app.get('/:id', (request) => expectTypeOf(request.db).toEqualTypeOf<Connection>())
  app.get(
    '/:id',
    expressPlugin(db).transactional((request) => {
      expectTypeOf(request.db).toEqualTypeOf<Connection>()
      expectTypeOf(request.params['id']).toExtend<string | string[] | undefined>()
    }),
  )

  new Koa().use(koaPlugin(db)).use((ctx) => expectTypeOf(ctx.db).toEqualTypeOf<Connection>())
  new Koa().use(koaPlugin(db, { as: 'shop' })).use((ctx) => expectTypeOf(ctx.shop).toEqualTypeOf<Connection>())

  const fastify = Fastify()
  void fastify.register(fastifyPlugin, { db, url: 'postgres://localhost', health: '/ready' })
  expectTypeOf(fastify.db).toEqualTypeOf<Db>()
  fastify.get('/', { config: { db: { transaction: { readOnly: true } } } }, (request) => {
    expectTypeOf(request.db).toEqualTypeOf<Connection>()
  })
  // @ts-expect-error -- a plug-in without a database
  expect(() => fastify.register(fastifyPlugin, {})).not.toThrow()
  void fastify.close()

  // @ts-expect-error -- no such option
  expect(() => koaPlugin(db, { poolSize: 3 })).toThrow('poolSize')
})
