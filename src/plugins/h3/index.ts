// `genever/h3`: re-exports, nothing else.
export { genever, type GeneverH3 } from './genever.ts'
export { health } from './health.ts'
export { type HealthOptions } from '../health.ts'
export { gracefulShutdown, type ClosableServer, type ShutdownOptions, type ShutdownReport } from '../shutdown.ts'
export { type FlatOptions } from '../flat-names.ts'
export { type PluginLogger } from '../log.ts'
export { type PluginOptions, type RequestTransactionOptions } from '../options.ts'
