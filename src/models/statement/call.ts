// Options of the calls of a model, read at its doors: what exists, what it may be. What was read here goes on to executors
// as it is.
import { is, SQL } from 'drizzle-orm'
import type { Handle } from '../../engine/context/frame.ts'
import { callOptions } from '../../engine/handle.ts'
import { queryChecks } from '../../engine/query/query-terms.ts'
import { isPlain, must, type Checks } from '../../util/options.ts'
import type { CallOptions, IgnoreOptions, UpsertOptions } from '../types/model.ts'

const isList = (value: unknown): boolean => Array.isArray(value)

const ignoreChecks: Checks<IgnoreOptions<string>> = {
  ...queryChecks,
  target: must('a list of columns', isList),
  targetWhere: must('a condition', (value) => is(value, SQL)),
}

const upsertChecks: Checks<UpsertOptions<string>> = {
  ...ignoreChecks,
  update: must('a list of keys, or an object of values', (value) => isList(value) || isPlain(value)),
}

/** Undefined for none. @throws {InvalidOptionError} naming every option that does not exist or does not fit. */
export function callOf(given: CallOptions | Handle | undefined, method: string): CallOptions | undefined {
  return given === undefined ? undefined : callOptions<CallOptions>(given, queryChecks, method)
}

/** Like `callOf`, for an insert that may meet a row. */
export function ignoreOf(
  given: IgnoreOptions<string> | Handle | undefined,
  method: string,
): IgnoreOptions<string> | undefined {
  return given === undefined ? undefined : callOptions<IgnoreOptions<string>>(given, ignoreChecks, method)
}

/** Like `callOf`, for an upsert. */
export function upsertOf(
  given: UpsertOptions<string> | Handle | undefined,
  method: string,
): UpsertOptions<string> | undefined {
  return given === undefined ? undefined : callOptions<UpsertOptions<string>>(given, upsertChecks, method)
}
