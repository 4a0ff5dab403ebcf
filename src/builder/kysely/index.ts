// The door of `genever/kysely`. Importing it teaches every executor Kysely's queries (`adapter.ts`).
export { toQuery } from './adapter.ts'
export { geneverDialect } from './dialect/dialect.ts'
export { kysely, type KyselyOptions } from './kysely.ts'
export type { KyselySource } from './dialect/source.ts'
