// `genever/models`: re-exports, nothing else.
export type { ModelDelete, ModelUpdate, Returned, Update } from './types/writes.ts'
export { plain } from './instance/plain.ts'
export { json, type Json, type PropFn, type PropOptions } from './json/json.ts'
export { literal, many } from './load/loader.ts'
export { every, none, some } from './load/some.ts'
export type { ModelHooks } from './types/values.ts'
export { Model, type ModelOptions } from './model.ts'
export type { Attached, Plain, Shown } from './types/plain.ts'
export type { LoadOptions, LockOptions, ModelCursor, Page } from './types/query.ts'
export type { Joinable, ModelQuery } from './types/query.ts'
export type { ModelStatics } from './types/statics.ts'
export type { JsonRow, ViewTable } from './types/values.ts'
export type { JsonMap, JsonProp } from './types/values.ts'
export type { Attach, Loaded, LoadedRow, Loader, LoaderLike, Many, ManyOptions } from './types/loader.ts'
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
export type { StandardIssue, StandardResult, StandardSchema } from './types/values.ts'
