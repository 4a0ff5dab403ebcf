// `genever/fastify/types`: what the plug-in adds to Fastify under its default name, for TypeScript. Import it once, anywhere;
// with another name (option `as`), declare that one in its place.
import type { Db } from '../../db/db.ts'
import type { Connection } from '../../engine/connection.ts'
import type { RouteConfig } from './transaction.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The database of the plug-in. */
    db: Db
  }
  interface FastifyRequest {
    /** The connection of this request. */
    db: Connection
  }
  interface FastifyContextConfig {
    /** Options of the plug-in for this route. */
    db?: RouteConfig | undefined
  }
}

export type { RouteConfig } from './transaction.ts'
