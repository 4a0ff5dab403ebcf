// Functions of users whose result is needed at once: an asynchronous one is refused, when it is given if it says so itself,
// else when it returns a promise. Used by hooks and JSON properties.
import { UsageError } from '../../errors/index.ts'

/** For `afterLoad`. */
export function asynchronous(model: string): UsageError {
  return new UsageError(
    `afterLoad of ${model} is asynchronous, but instances are returned at once. Do asynchronous work after the query.`,
  )
}

/** Whether it is declared `async`. */
export function isAsync(work: unknown): boolean {
  return typeof work === 'function' && Object.prototype.toString.call(work) === '[object AsyncFunction]'
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { readonly then?: unknown }).then === 'function'
  )
}

/** Nobody handles its rejection: the mistake is the promise itself, and the error says that. */
export function ignore(promise: PromiseLike<unknown>): void {
  // Others, such as queries, begin when they are asked.
  if (promise instanceof Promise) promise.catch(() => {})
}
