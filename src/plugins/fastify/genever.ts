// The plug-in for Fastify 5. Opens in its registration, so what is registered behind it can use the database; closes in
// `onClose`. The scope begins in `onRequest` and ends with the raw response, the only event that comes on every path.
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Db } from '../../db/db.ts'
import { callOptions } from '../../engine/handle.ts'
import { inRoot } from '../../util/context.ts'
import { type Checks, milliseconds } from '../../util/options.ts'
import { type PluginOptions } from '../options.ts'
import { WebPlugin } from '../plugin.ts'
import type { Routed } from '../request/scope.ts'
import { drainLogging } from '../shutdown.ts'
import { health } from './health.ts'
import { refusedEarly, wrapRoutes } from './transaction.ts'

/** Options of the plug-in for Fastify. */
export interface GeneverFastifyOptions extends PluginOptions<FastifyRequest> {
  readonly db: Db
  /** A path for a readiness route: see `health`. Default: none. */
  readonly health?: string | undefined
  /** How long running requests may take when the application closes. After that their sockets are closed. Default 10_000. */
  readonly drainTimeoutMs?: number | undefined
}

const checks: Checks<Pick<GeneverFastifyOptions, 'drainTimeoutMs'>> = { drainTimeoutMs: milliseconds(0) }

const register = async (app: FastifyInstance, given: GeneverFastifyOptions): Promise<void> => {
  const { db, health: path, drainTimeoutMs: drain, ...options } = given
  const { drainTimeoutMs = 10_000 } = callOptions({ drainTimeoutMs: drain }, checks, 'the plug-in')
  const plugin = new WebPlugin<FastifyRequest>(db, options)
  plugin.configure(null, app.log)
  const { as, connectionForRequest, transaction } = plugin.options
  app.decorate(as, db)
  let drained = (): void => {}
  app.addHook('preClose', (done) => {
    drained = drainLogging(app.server, drainTimeoutMs, plugin.log)
    done()
  })
  // The server has closed by now.
  app.addHook('onClose', () => {
    drained()
    return inRoot(() => plugin.close())
  })
  await plugin.open()
  if (hasRoutes(app)) {
    if (transaction !== null)
      plugin.log.warn(
        'Routes that were declared before the plug-in of the database are not in its transaction. Await app.register() first.',
      )
    app.addHook('onRequest', (request, _reply, done) => done(refusedEarly(request, db, as)))
  }
  if (connectionForRequest) {
    app.decorateRequest(as, null)
    const enter = (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
      const scope = plugin.scope(request.raw, reply.raw, request, () => routeOf(request))
      if (scope === null) return done()
      plugin.attach(request, scope)
      scope.run(done)
    }
    app.addHook('onRequest', (request, reply, done) => {
      plugin.enter(
        request,
        () => enter(request, reply, done),
        (error) => done(error as Error),
      )
    })
  }
  app.addHook('onRoute', wrapRoutes(db, as, transaction))
  if (path !== undefined) app.get(path, { config: { [as]: { transaction: false } } }, health(db))
}

/** Whether there are routes already, whose handlers cannot be wrapped any more. */
function hasRoutes(app: FastifyInstance): boolean {
  return app.printRoutes().trim() !== '(empty tree)'
}

function routeOf({ method, routeOptions }: FastifyRequest): Routed {
  return { method, route: routeOptions.url }
}

/**
 * Gives every request one lazy connection. It is ambient for the hooks and the handler, and is `request.db`. The database is
 * `app.db`. `await app.register(genever, { db })`. Types: `import 'genever/fastify/types'`.
 * @throws {InvalidOptionError} when options are wrong.
 * @throws {ConnectError} when the database cannot be reached. Fastify's `pluginTimeout` limits the wait too.
 */
export const genever: FastifyPluginAsync<GeneverFastifyOptions> = Object.assign(register, {
  // As fastify-plugin does: hooks and decorators are for the whole application, not for this plug-in alone.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'genever',
  [Symbol.for('plugin-meta')]: { name: 'genever', fastify: '5.x' },
})
