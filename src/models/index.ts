// `genever/models`: re-exports, nothing else.
export type { Returned } from './statement/many-rows.ts'
export type { ModelDelete } from './crud/static-delete.ts'
export type { ModelUpdate } from './crud/static-update.ts'
export type { Update } from './crud/update.ts'
export { type Plain, plain } from './instance/plain-value.ts'
export { json, type Json, type PropFn, type PropOptions } from './json/json.ts'
export { literal, many } from './load/loader.ts'
export type { ModelHooks } from './meta/hooks.ts'
export { Model, type ModelOptions } from './model.ts'
export type { Page } from './query/page.ts'
export type { ModelCursor } from './query/iterate.ts'
export type { LoadOptions, LockOptions } from './query/state.ts'
export type { Joinable, ModelQuery } from './types/query.ts'
export type { ModelStatics } from './types/statics.ts'
export type { JsonRow, ViewTable } from './types/values.ts'
export type { JsonMap, JsonProp } from './types/json.ts'
export type { Attach, Loaded, Loader, LoaderLike, Many } from './types/loader.ts'
export type {
  Aliased,
  AnyModel,
  CallOptions,
  ConflictTarget,
  Distinct,
  Filter,
  IgnoreOptions,
  ModelClass,
  ModelInstance,
  UpsertOptions,
} from './types/model.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './types/standard-schema.ts'
