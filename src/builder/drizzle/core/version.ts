// Checks that the installed Drizzle is a version whose columns and tables can be read. Models and DDL call it before they read
// anything. It imports Drizzle, as they do: code that must load without Drizzle never imports this.
import { npmVersion } from 'drizzle-orm/version'
import { UsageError } from '../../../errors/index.ts'

/** @throws {UsageError} for an older one: it keeps in other places what is read, and decodes dates and arrays in other ways. */
export function checkDrizzle(subpath: string): void {
  if (!isSupported(npmVersion))
    throw new UsageError(`${subpath} needs drizzle-orm 0.45.4 or newer, or 1.0, and found ${npmVersion}: upgrade it.`)
}

/** Of 1.0 what came before its fifth release candidate is another library. */
function isSupported(version: string): boolean {
  const [, major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).map(Number)
  const [, stage, number] = /^1\.0\.0-([a-z]+)\.?(\d*)/.exec(version) ?? []
  if (stage !== undefined) return stage === 'rc' && Number(number) >= 5
  return major > 0 || minor > 45 || (minor === 45 && patch >= 4)
}
