/** What options are resolved to, or refused for. */

import { expect } from 'vitest'
import type { Driver } from '../../src/driver/driver.ts'
import { InvalidOptionError } from '../../src/errors/index.ts'
import { resolveOptions, type EngineOptions } from '../../src/options/options.ts'
import { postgres } from '../../src/postgres/dialect.ts'

/** The options that are refused, and why; none if they are taken. */
export function refusal(
  source: unknown,
  options?: unknown,
): readonly { readonly name: string; readonly problem: string }[] {
  try {
    resolveOptions(source as EngineOptions, options as EngineOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidOptionError)
    return (error as InvalidOptionError).options
  }
  return []
}

export const refused = (source: unknown, options?: unknown): string[] =>
  refusal(source, options).map(({ name }) => name)

/** With the password spelled out. */
export async function connection(source: unknown, options?: unknown): Promise<Record<string, unknown>> {
  const given = resolveOptions(source as EngineOptions, options as EngineOptions).connection
  const password = given['password'] as (() => unknown) | undefined
  return { ...given, ...(password === undefined ? {} : { password: await password() }) }
}

/** The TLS options that a source comes to. */
export const tls = (source: string, ssl?: EngineOptions['ssl']): unknown =>
  resolveOptions(source, { ssl }).connection['ssl']

/** A driver of the user, which opens nothing. */
export function ownDriver(name: string): Driver {
  return {
    name,
    dialect: postgres,
    poolLimit: 10,
    parse: (options) => options,
    open: () => Promise.reject(new Error('not opened here')),
    classify: () => 'config',
  }
}
