// `genever/next`: re-exports, nothing else.
export { closeGlobal, globalDb } from '../../registry/global-db.ts'
export { withDb, type WithDbOptions } from './with-db.ts'
export { getOrNotFound } from './navigation.ts'
export { errorHandler } from './errors.ts'
export { type Problem } from '../problem.ts'
export { health } from './health.ts'
export { type HealthOptions } from '../health.ts'
export { type RequestTransactionOptions } from '../options.ts'
