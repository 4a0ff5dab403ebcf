// Session settings as users give them: checked and copied when a frame is made, so that what is wrong with them is the
// error of whoever gave them, and never of whoever lends the connection later.
import { UsageError } from '../errors/index.ts'
import { describeType, isConforming, isPlain, isUtf8 } from '../util/checks.ts'

/** The server truncates identifiers to NAMEDATALEN - 1 bytes. */
export const mostNameBytes = 63

/**
 * A frozen copy, each value as text; undefined when there is none.
 *
 * @throws {UsageError} when it is no plain object, has a name that no setting can have, or a value that is no string, number
 *   or boolean.
 */
export function settingsOf(given: unknown): Readonly<Record<string, string>> | undefined {
  if (given === undefined) return undefined
  if (!isPlain(given))
    throw new UsageError(
      `settings must be an object with names and values, such as { 'app.tenant': '7' }; it is ${describeType(given)}.`,
    )
  const copy = Object.create(null) as Record<string, string>
  let some = false
  for (const [name, value] of Object.entries(given)) {
    copy[settingName(name)] = settingValue(name, value)
    some = true
  }
  return some ? Object.freeze(copy) : undefined
}

/** @throws {UsageError} for a name that no setting can have. */
export function settingName(name: string): string {
  if (/^[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*$/i.test(name) && name.length <= mostNameBytes) return name
  throw new UsageError(
    `PostgreSQL allows no setting named ${JSON.stringify(name.slice(0, mostNameBytes))}: use letters, digits and "_", with dots between parts.`,
  )
}

/** @throws {UsageError} for what is no text, number or boolean, and for text that cannot be sent. */
export function settingValue(name: string, value: unknown): string {
  const fits =
    typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  if (!fits) {
    const what = typeof value === 'number' ? String(value) : describeType(value)
    throw new UsageError(`The setting "${name}" is ${what}: settings are strings, finite numbers or booleans.`)
  }
  const text = String(value)
  if (text.includes('\0') || /\p{Surrogate}/u.test(text))
    throw new UsageError(`The setting "${name}" holds a NUL character or half of a surrogate pair.`)
  if (name.toLowerCase() === 'client_encoding' && !isUtf8(text))
    throw new UsageError(
      'Text is sent and read as UTF8 only, so the setting "client_encoding" can be nothing but UTF8.',
    )
  if (name.toLowerCase() === 'standard_conforming_strings' && !isConforming(text))
    throw new UsageError(
      'SQL is read as with standard_conforming_strings = on, so that setting cannot be turned off: quotes would end elsewhere.',
    )
  return text
}
