// The options of a model that work on values before they are written: validation, then the hook.
import { ValidationError } from '../../errors/index.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import type { StandardIssue } from '../types/values.ts'
import { asValues, type Values } from './given.ts'

/** Values of a new row, validated and changed by `beforeCreate`. @throws {ValidationError} with what the schema says. */
export async function prepared(meta: ModelMeta, values: Values, method: string): Promise<Values> {
  const { validate, beforeCreate } = meta.hooks
  let current = values
  if (validate !== undefined) {
    const result = await validate['~standard'].validate(current)
    if (result.issues !== undefined) throw invalid(meta, result.issues)
    current = asValues(result.value, method)
  }
  if (beforeCreate === undefined) return current
  // A copy, unless it is an instance: hooks change what is written, not the object of the caller.
  const own = current === values && Object.getPrototypeOf(values) === Object.prototype ? { ...values } : current
  return changed(await beforeCreate(own), own, method)
}

/** The values that a hook returned, or else those that it was given and may have changed. */
export function changed(returned: unknown, given: Values, method: string): Values {
  return returned === undefined ? given : asValues(returned, `The hook of ${method}`)
}

function invalid(meta: ModelMeta, issues: readonly StandardIssue[]): ValidationError {
  const paths = [...new Set(issues.map(pathOf))].filter((path) => path !== '')
  const where = paths.length === 0 ? 'as a whole' : `at ${paths.join(', ')}`
  return new ValidationError(`The values for ${meta.sqlName} are not valid ${where}. The error's issues say why.`, {
    issues,
  })
}

function pathOf({ path = [] }: StandardIssue): string {
  return path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
}
