/** Calls that fail, and whether the stacks of their errors have the line of the test that called. */

import { GeneverError } from 'genever'
import { basename } from 'node:path'
import { expect } from 'vitest'

/** Calls, each of which fails. */
export type Doors = Readonly<Record<string, () => Promise<void>>>

/** Those whose error is not one of Genever, or does not lead to the file of the test. */
export async function without(doors: Doors): Promise<unknown[]> {
  const file = basename(expect.getState().testPath as string)
  const found: unknown[] = []
  for (const [name, call] of Object.entries(doors))
    try {
      await call()
      found.push([name, 'no error'])
    } catch (error) {
      const led = error instanceof GeneverError && error.stack?.includes(file)
      if (led !== true) found.push([name, error])
    }
  return found
}
