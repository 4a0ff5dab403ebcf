// `genever/script`: re-exports, nothing else.
export { run } from './run.ts'
export { type ScriptDb, type Step } from './script-db.ts'
