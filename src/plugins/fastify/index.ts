// `genever/fastify`: re-exports, nothing else.
export { genever, type GeneverFastifyOptions } from './genever.ts'
export { health } from './health.ts'
export { type RouteConfig } from './transaction.ts'
export { type HealthOptions } from '../health.ts'
export { type FlatOptions } from '../flat-names.ts'
export { type PluginLogger } from '../log.ts'
export { type PluginOptions, type RequestTransactionOptions } from '../options.ts'
