/** `genever/koa`: the suite, over Koa 3. */

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { genever, health } from 'genever/koa'
import Koa from 'koa'
import { type Adapter, type App, listening, readiness, type RunningApp } from './adapter.ts'
import { requestSuite } from './request-suite.ts'

const adapter: Adapter = {
  name: 'koa',
  routes: false,
  settles: true,
  async start(app: App): Promise<RunningApp> {
    const koa = new Koa()
    koa.silent = true
    const [main, ...more] = [app, ...(app.more ?? [])].map(({ db, options }) => genever(db, options))
    for (const plugin of [main!, ...more]) {
      await plugin.open(koa)
      koa.use(plugin)
    }
    const ready = health(app.db, readiness(app))
    const inTransaction = main!.transaction()
    koa.use(async (ctx, next) => {
      if (ctx.path === '/ready') return ready(ctx, next)
      const route = app.routes.find(({ method, path }) => method === ctx.method && path === ctx.path)
      if (route === undefined) return
      const handle = async (): Promise<void> => {
        const connection = (name = 'db'): any => (ctx as any)[name]
        const answer = await route.work({ connection, query: ctx.URL.searchParams })
        ctx.status = answer.status ?? 200
        if (answer.stream === undefined) {
          ctx.type = 'json'
          ctx.body = JSON.stringify(answer.body)
        } else ctx.body = Readable.from(answer.stream)
        if (answer.after !== undefined) ctx.res.once('finish', answer.after)
      }
      await (route.transaction === true ? inTransaction(ctx, handle) : handle())
    })
    const server = createServer((request, response) => void koa.callback()(request, response))
    return listening(server)
  },
}

requestSuite(adapter)
