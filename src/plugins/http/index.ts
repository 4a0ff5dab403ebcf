// `genever/http`: re-exports, nothing else.
export { genever, type GeneverHttp, type HttpHandler, type HttpRequest } from './genever.ts'
export { health } from '../request/node-health.ts'
export { type HealthOptions } from '../health.ts'
export { gracefulShutdown, type ClosableServer, type ShutdownOptions, type ShutdownReport } from '../shutdown.ts'
export { type FlatOptions } from '../flat-names.ts'
export { type PluginLogger } from '../log.ts'
export { type PluginOptions, type RequestTransactionOptions } from '../options.ts'
