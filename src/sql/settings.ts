// Session settings as users give them. They are checked and copied when a frame is made. So a mistake in them is an error of the caller
// who gave them, never of the code that uses the connection later.
import { UsageError } from '../errors/index.ts'
import { describeType, isPlain, isWellFormed } from '../util/options.ts'

/** Names in lower case, and values as text. */
export type Settings = Readonly<Record<string, string>>

/** Whether an encoding of PostgreSQL is the one that text is sent and read in. */
export function isUtf8(encoding: string): boolean {
  return /^(?:utf-?8|unicode)$/i.test(encoding)
}

/** Whether `standard_conforming_strings` stays as texts are read here: a backslash in quotes is a character like any other. */
export function isConforming(value: string): boolean {
  return /^(?:on|true|yes|1|t|y)$/i.test(value)
}

/** Whether a `time_zone` of MySQL is UTC, in which dates are sent and read. */
export function isUtcZone(zone: string): boolean {
  return /^(?:[+-]00?:00|UTC)$/i.test(zone)
}

/** What a `time_zone` of MySQL is, why, and what to do where another is wanted: follows its name. */
const onlyUtc: string =
  "can only be UTC ('+00:00'), because dates are sent and read in UTC: in another zone a timestamp would be stored and read shifted. " +
  "Convert in SQL instead, with convert_tz(now(), '+00:00', '+02:00'), or set the zone on the client that rawConnection() lends, and " +
  'read there'

/** Whether a character set or collation of MySQL is one of utf8mb4, in which text is sent and read. */
export function isUtf8mb4(name: string): boolean {
  return /^utf8mb4(?:_\w+)?$/i.test(name)
}

const onlyUtf8mb4 = {
  fits: isUtf8mb4,
  only: 'can only be of utf8mb4, because text is sent and read as utf8mb4 only. Convert in SQL instead, with convert(… using …)',
}

/** Without it the driver would not hear that a procedure has changed how values are read. */
const onlyDrivers = { fits: () => false, only: 'belongs to the driver, which hears by it how values are read' }

/** Settings that say how values are sent and read: none can be another than is believed here. */
const believed: ReadonlyMap<string, { readonly fits: (value: string) => boolean; readonly only: string }> = new Map([
  ['client_encoding', { fits: isUtf8, only: 'can only be UTF8, because text is sent and read as UTF8 only' }],
  ['standard_conforming_strings', { fits: isConforming, only: 'can only be on, because quotes would end elsewhere' }],
  [
    'datestyle',
    {
      fits: (value) => !/german|sql|postgres/i.test(value),
      only: "can only be ISO, as in 'ISO, DMY', because dates are read in this form only. Write another one by to_char() in SQL",
    },
  ],
  [
    'extra_float_digits',
    {
      fits: (value) => !(Number(value) < 1),
      only: 'can only be 1 or more, because a number that travels in binary is not rounded. Round in SQL instead',
    },
  ],
  ['time_zone', { fits: isUtcZone, only: onlyUtc }],
  ['character_set_client', onlyUtf8mb4],
  ['character_set_results', onlyUtf8mb4],
  ['character_set_connection', onlyUtf8mb4],
  ['collation_connection', onlyUtf8mb4],
  ['session_track_system_variables', onlyDrivers],
  ['session_track_schema', onlyDrivers],
  ['session_track_state_change', onlyDrivers],
  [
    'autocommit',
    {
      fits: (value) => /^(?:1|on|true)$/i.test(value),
      only: 'can only be on, because each statement outside of a transaction commits by itself. Use transaction() where it must not',
    },
  ],
  [
    'completion_type',
    {
      fits: (value) => /^(?:0|no_chain)$/i.test(value),
      only: 'can only be NO_CHAIN, because nothing may be open, and the session may not end, behind a COMMIT',
    },
  ],
])

/** Why a setting cannot have this value, as a clause that follows its name; undefined: it can. */
export function settingMisread(name: string, value: string): string | undefined {
  const found = believed.get(name.toLowerCase())
  return found === undefined || found.fits(value) ? undefined : found.only
}

/** Why the `time_zone` of a session of MySQL is UTC, and what to do where another is wanted. */
export const zoneAdvice: string = `The time_zone of a session of MySQL ${onlyUtc}.`

/** The server truncates identifiers to NAMEDATALEN - 1 bytes. */
export const mostNameBytes = 63

/**
 * A frozen copy, names in lower case, each value as text; undefined when there is none.
 *
 * @throws {UsageError} when it is not a plain object, or has a name that no setting can have. Also for a value that is not a
 *   string, number or boolean.
 */
export function settingsOf(given: unknown): Settings | undefined {
  if (given === undefined) return undefined
  if (!isPlain(given))
    throw new UsageError(
      `settings must be an object with names and values, such as { 'app.tenant': '7' }; it is ${describeType(given)}.`,
    )
  const copy = Object.create(null) as Record<string, string>
  let some = false
  for (const [key, value] of Object.entries(given)) {
    const name = settingName(key).toLowerCase()
    if (Object.hasOwn(copy, name))
      throw new UsageError(`settings holds ${JSON.stringify(name)} twice: upper and lower case make no difference.`)
    copy[name] = settingValue(name, value)
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
  if (text.includes('\0') || !isWellFormed(text))
    throw new UsageError(`The setting "${name}" holds a NUL character or half of a surrogate pair.`)
  const misread = settingMisread(name, text)
  if (misread !== undefined) throw new UsageError(`The setting "${name}" ${misread}.`)
  return text
}

// The settings of frames that are in force on one session, by its answers, and the changes that put others in force. It sends nothing
// itself: the sender of a change reports that it was sent, and how it ended.

/** A setting and what it becomes; null: what it was when the session began. */
export type Change = readonly [name: string, value: string | null]

const none: Settings = Object.freeze(Object.create(null) as Settings)
/** Each setting that was ever made may be in force, or not. */
const unsure: Settings = Object.freeze(Object.create(null) as Settings)

const no: ReadonlySet<string> = new Set()

/** The settings of frames that one session has now, as far as that is sure. A connection has one; the engine keeps it. */
export class InForce {
  /**
   * The settings in force now, null for none. Settings are immutable, so a frame that finds its settings here has nothing to send.
   * When it is uncertain, this value is unlike all others.
   */
  now: Settings | null = null
  /** What the session has where no frame has set anything, as far as that differs from how it began. */
  base: Settings = none
  /** False: a session that is given back must not keep them, because others share it in some way the pool does not see. */
  mayStay = true
  /** All that may be in force, and was set by frames. */
  #names: ReadonlySet<string> = no
  /** What was in force when the transaction that is open was begun (its name is ''), and when its savepoints were made. */
  readonly #marks: { readonly savepoint: string; readonly then: Settings | null }[] = []

  /** Whether a frame has set anything that may still be in force. */
  get any(): boolean {
    return this.#names.size > 0
  }

  /**
   * What has to be changed so that `wanted` is in force and nothing else. On the `guards` depends who may change the others:
   * they are taken back before, and set behind them, in this order.
   */
  changes(wanted: Settings | null, guards: readonly string[]): readonly Change[] {
    const { now } = this
    const want = wanted ?? none
    const had = now === unsure ? this.#names : new Set(now === null ? [] : Object.keys(now))
    const first: Change[] = []
    const last: Change[] = []
    const others: Change[] = []
    for (const name of had)
      if (!Object.hasOwn(want, name) && !guards.includes(name)) others.push([name, this.base[name] ?? null])
    for (const name of Object.keys(want))
      if (!guards.includes(name) && !this.#has(name, want[name] as string)) others.push([name, want[name] as string])
    // One that is changed takes those behind it along.
    let moves = others.length > 0
    for (const name of guards) {
      const value = Object.hasOwn(want, name) ? (want[name] as string) : null
      const same = value === null ? !had.has(name) : this.#has(name, value)
      if (same && (!moves || !had.has(name))) continue
      const back = this.base[name] ?? null
      if (had.has(name) && (moves || value === null)) first.unshift([name, back])
      if (value !== null) last.push([name, value])
      moves = true
    }
    return [...first, ...others, ...last]
  }

  #has(name: string, value: string): boolean {
    const { now } = this
    return now !== null && now !== unsure && Object.hasOwn(now, name) && now[name] === value
  }

  /** Whether these are in force already, in another object maybe. */
  isNow(wanted: Settings | null): boolean {
    if (this.now === wanted) return true
    if (this.now === unsure || !sameSettings(this.now, wanted)) return false
    this.now = wanted
    return true
  }

  /** Whether surely nothing is in force. */
  get nothing(): boolean {
    return this.now === null || (this.now !== unsure && Object.keys(this.now).length === 0)
  }

  /** Changes are on their way. */
  sent(changes: readonly Change[]): void {
    this.#names = new Set([...this.#names, ...changes.map(([name]) => name)])
  }

  /** These are in force. `settled`: no rollback can take that back. */
  became(settings: Settings | null, settled: boolean): void {
    this.now = settings
    if (settled) this.#names = settings === null ? no : new Set(Object.keys(settings))
  }

  /** A rollback may have taken back what was set, or part of it was refused. */
  lose(): void {
    if (this.any) this.now = unsure
  }

  /** A transaction begins, `''`, or a savepoint is made. */
  mark(savepoint: string): void {
    this.#marks.push({ savepoint, then: this.now })
  }

  /** It is over; `undone`: by a rollback. One that was never made has changed nothing. */
  unmark(savepoint: string, undone: boolean): void {
    const at = this.#marks.findLastIndex((mark) => mark.savepoint === savepoint)
    const mark = this.#marks[at]
    if (savepoint === '') this.#marks.length = 0
    else if (mark !== undefined) this.#marks.splice(at, 1)
    if (undone && mark !== undefined) this.now = mark.then
  }

  /** The session was reset. */
  clear(): void {
    this.now = null
    this.#names = no
    this.#marks.length = 0
  }
}

/** Whether both have the same names with the same values. */
export function sameSettings(one: Settings | null, other: Settings | null): boolean {
  if (one === other) return true
  const [a, b] = [one ?? none, other ?? none]
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
}
