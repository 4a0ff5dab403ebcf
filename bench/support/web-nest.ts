// NestJS for `bench/request.ts`, on either of its platforms: a module with one controller, as `genever/nest` is used.
import 'reflect-metadata'
import type { AddressInfo } from 'node:net'
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { GeneverModule } from 'genever/nest'
import type { Handlers, Listening } from './web-frameworks.ts'

export function nestOn(platform: 'express' | 'fastify'): (handlers: Handlers) => Promise<Listening> {
  return async ({ none, read, db, context }) => {
    class Routes {
      none(): Promise<unknown> {
        return none()
      }
      read(): Promise<unknown> {
        return read()
      }
    }
    for (const name of ['none', 'read'] as const)
      Get(name)(Routes.prototype, name, Object.getOwnPropertyDescriptor(Routes.prototype, name) as PropertyDescriptor)
    Controller()(Routes)
    // oxlint-disable-next-line typescript/no-extraneous-class -- Nest's modules are classes
    class App {}
    Module({ imports: db === null ? [] : [GeneverModule.forRoot({ db, log: false })], controllers: [Routes] })(App)
    const app = await NestFactory.create(App, platform === 'express' ? new ExpressAdapter() : new FastifyAdapter(), {
      logger: false,
    })
    if (context !== null) app.use((_request: unknown, _response: unknown, next: () => void) => context.run({}, next))
    await app.listen(0, '127.0.0.1')
    return { port: (app.getHttpServer().address() as AddressInfo).port }
  }
}
