// `genever/sync`: re-exports, nothing else.
export { openSync, runSync, type SyncDb, type SyncModule, type SyncOptions } from './sync-db.ts'
