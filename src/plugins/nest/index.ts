// `genever/nest`: re-exports, nothing else.
export { GeneverModule } from './module/module.ts'
export {
  type GeneverAsyncOptions,
  type GeneverModuleOptions,
  type GeneverOptions,
  type ModuleParts,
} from './module/options.ts'
export { GeneverInterceptor, type GeneverInterceptorOptions } from './interceptor.ts'
export { GeneverHealthIndicator, getHealthToken, PingAttempt, type PingResult } from './health/indicator.ts'
export { ProblemFilter } from './problem-filter.ts'
export { type Problem } from '../problem.ts'
export { TransactionalRoute } from './request/route.ts'
export { Transactional, type TransactionalDecorator, type TransactionalOptions } from './transactional/decorator.ts'
export { type Propagation } from './transactional/propagation.ts'
export { getDbToken, getModelToken, InjectDb, InjectModel, type ModelClassLike, RequestConnection } from './tokens.ts'
export { type HealthOptions } from '../health.ts'
export { type FlatOptions } from '../flat-names.ts'
export { type PluginLogger } from '../log.ts'
export { type PluginOptions, type RequestTransactionOptions } from '../options.ts'
