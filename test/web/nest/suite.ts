/** The suite of requests, as routes of a Nest controller. */

import { Readable } from 'node:stream'
import { Controller, Get, Post, Req, Res, StreamableFile, type Type } from '@nestjs/common'
import { GeneverModule, TransactionalRoute } from 'genever/nest'
import { type Adapter, type App, readiness, type Route, type RunningApp } from '../adapter.ts'
import { type Platform, start } from './app.ts'

interface Request {
  readonly url: string
  readonly originalUrl: string
}

interface Response {
  status(code: number): unknown
  header(name: string, value: string): unknown
  readonly raw?: Response
  once(event: 'finish', listener: () => unknown): unknown
}

/** Applies the decorators that a handler written by hand would have. */
function controllerOf(routes: readonly Route[]): Type {
  class Suite {}
  const prototype = Suite.prototype as Record<string, unknown>
  for (const [index, { method, path, work, transaction }] of routes.entries()) {
    const key = `route${index}`
    prototype[key] = async (request: Request, response: Response) => {
      const connection = (name = 'db'): any => (request as any)[name]
      const { searchParams } = new URL(request.originalUrl, 'http://localhost')
      const answer = await work({ connection, query: searchParams })
      void response.status(answer.status ?? 200)
      if (answer.after !== undefined) (response.raw ?? response).once('finish', answer.after)
      if (answer.stream !== undefined) return new StreamableFile(Readable.from(answer.stream))
      if (typeof answer.body === 'object') return answer.body
      // Nest sends what is no object as text.
      void response.header('content-type', 'application/json')
      return JSON.stringify(answer.body)
    }
    const descriptor = Object.getOwnPropertyDescriptor(prototype, key)!
    const map = method === 'GET' ? Get : Post
    map(path)(prototype, key, descriptor)
    Req()(prototype, key, 0)
    Res({ passthrough: true })(prototype, key, 1)
    if (transaction !== undefined) TransactionalRoute(transaction)(prototype, key, descriptor)
  }
  Controller()(Suite)
  return Suite
}

export function adapterOf(platform: Platform): Adapter {
  return {
    name: `nest ${platform}`,
    routes: platform === 'express',
    settles: false,
    async start(app: App): Promise<RunningApp> {
      const imports = [
        GeneverModule.forRoot({ ...app.options, db: app.db, health: { path: 'ready', ...readiness(app) } }),
        ...(app.more ?? []).map(({ db, options }, index) => GeneverModule.forRoot({ ...options, db }, `more${index}`)),
      ]
      return start(platform, { imports, controllers: [controllerOf(app.routes)] })
    },
  }
}
