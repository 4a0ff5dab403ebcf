// Times that say more than the milliseconds of a Date. Columns by which rows are found are read with all digits: they stay beside the
// Date, and are sent with it as long as it is not changed. Without them a key would find another row, or none.
import { timestampText } from '../../../postgres/text-forms.ts'

interface Told {
  /** All digits behind the seconds. */
  readonly fraction: string
  readonly time: number
}

const told = new WeakMap<Date, Told>()

/** The value that was read of the text. */
export function ofText<T>(value: T, text: string): T {
  const [, fraction] = value instanceof Date ? (/\.(\d{3}\d*[1-9])/.exec(text) ?? []) : []
  if (fraction !== undefined) told.set(value as Date, { fraction, time: (value as Date).getTime() })
  return value
}

/** Its time in UTC, if that says more than the Date, with a `T` and a `Z` as in ISO 8601. */
export function exactText(date: Date): string | undefined {
  const known = told.get(date)
  if (known?.time !== date.getTime()) return undefined
  return timestampText(date)?.replace(/\.\d{3}Z/, `.${known.fraction}Z`)
}

export function copyOf(date: Date): Date {
  const copy = new Date(date)
  const known = told.get(date)
  if (known !== undefined) told.set(copy, known)
  return copy
}

type Keys = () => readonly string[]

/** Of the columns that may be part of a key: what says so, once the tables are loaded, and their names there. */
const keys = new WeakMap<object, Map<Keys, string>>()

/** Its times are read with all digits if it is one of these keys. */
export function mayBeKey(column: object, key: string, of: Keys): void {
  const config = configOf(column)
  if (config === undefined) return
  const known = keys.get(config)
  if (known === undefined) keys.set(config, new Map([[of, key]]))
  else known.set(of, key)
}

export function isKey(column: object): boolean {
  const config = configOf(column)
  const known = config === undefined ? undefined : keys.get(config)
  if (known === undefined) return false
  for (const [of, key] of known) if (of().includes(key)) return true
  return false
}

/** What a column shares with those of aliases of its table. */
function configOf(column: object): object | undefined {
  return (column as { readonly config?: object }).config
}
