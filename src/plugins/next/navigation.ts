// What Next.js says by throwing. Its module is loaded when it is needed: outside of a server of Next.js there is no use for it.
import { isGeneverError, NotFoundError } from '../../errors/index.ts'

/** Ends the request as `notFound()` of `next/navigation` does. */
export async function notFound(): Promise<never> {
  const navigation = await import('next/navigation.js')
  return navigation.notFound()
}

/** Thrown by `redirect()` and `permanentRedirect()`: the work before it went well. */
export function isRedirect(error: unknown): boolean {
  const { digest } = Object(error) as { digest?: unknown }
  return typeof digest === 'string' && digest.startsWith('NEXT_REDIRECT;')
}

/**
 * Returns the value that was looked for, or calls `notFound()` of `next/navigation`: for pages and components. It calls that
 * for `undefined`, `null`, and a promise that rejects with `NotFoundError`. Other errors are thrown on.
 */
export async function getOrNotFound<T>(found: T | PromiseLike<T>): Promise<NonNullable<T>> {
  let value: T
  try {
    value = await found
  } catch (error) {
    if (isGeneverError(error, NotFoundError)) return notFound()
    throw error
  }
  return value ?? notFound()
}
