// Intervals, days and network addresses as objects.
import type { TypeConversion } from '../../sql/conversions.ts'
import { atLocal, localText, readTimestamp, timestampText } from '../text-forms.ts'
import { unreadable, unreadableTime, unwritable } from './pieces.ts'

/** Each part has its own sign. `Temporal.Duration.from()` takes it where all signs are equal. */
export interface Interval {
  readonly years: number
  readonly months: number
  readonly days: number
  readonly hours: number
  readonly minutes: number
  readonly seconds: number
  readonly milliseconds: number
  readonly microseconds: number
}

const units = ['years', 'months', 'days', 'hours', 'minutes', 'seconds', 'milliseconds', 'microseconds'] as const
const words = ['years', 'mons', 'days', 'hours', 'mins', 'secs', 'msecs', 'usecs']
// As the setting IntervalStyle says: `postgres`, then `iso_8601`.
const usual =
  /^(?:([-+]?\d+) years? ?)?(?:([-+]?\d+) mons? ?)?(?:([-+]?\d+) days? ?)?(?:([-+]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$/
const iso = /^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/

function readInterval(text: string): Interval | number {
  if (text === 'infinity' || text === '-infinity') return text === 'infinity' ? Infinity : -Infinity
  const found = text === '' ? null : usual.exec(text)
  if (found !== null) {
    const [, years, months, days, sign, ...time] = found
    const [hours, minutes, seconds, fraction] = time
    const of = (part: string | undefined): number => (sign === '-' ? -1 : 1) * Number(part ?? 0)
    return intervalOf(
      [Number(years ?? 0), Number(months ?? 0), Number(days ?? 0), of(hours), of(minutes), of(seconds)],
      sign,
      fraction,
    )
  }
  const [matched, years, months, days, hours, minutes, sign, seconds, fraction] = iso.exec(text) ?? []
  if (matched === undefined) return unreadable('interval in a form that is known: set IntervalStyle to postgres')
  const parts = [years, months, days, hours, minutes].map((part) => Number(part ?? 0))
  return intervalOf([...parts, (sign === '-' ? -1 : 1) * Number(seconds ?? 0)], sign, fraction)
}

function intervalOf(parts: readonly number[], sign: string | undefined, fraction: string = ''): Interval {
  const micros = fraction.padEnd(6, '0')
  const small = [Number(micros.slice(0, 3)), Number(micros.slice(3))].map((part) => (sign === '-' ? -part : part))
  // No part is -0.
  const entries = [...parts, ...small].map((part, at) => [units[at] as keyof Interval, part + 0] as const)
  return Object.fromEntries(entries) as Record<keyof Interval, number>
}

function intervalText(value: object): string {
  const parts = Object.entries(value).map(([unit, amount]) => {
    const at = units.indexOf(unit as keyof Interval)
    if ((at < 0 && unit !== 'weeks') || typeof amount !== 'number' || !Number.isFinite(amount))
      return unwritable('interval', `an object with numbers for ${units.join(', ')} or weeks`)
    return `${amount} ${at < 0 ? 'weeks' : words[at]}`
  })
  return parts.length === 0 ? '0' : parts.join(' ')
}

/** An interval as an object with all its parts. `infinity` is a number, as for timestamps. */
export const interval: TypeConversion<Interval | number> = { list: false, read: readInterval, write: intervalText }

/** A `date` as the `Date` of its beginning in UTC. */
export const utcDate: TypeConversion<Date | number> = {
  list: false,
  read: (text) => readTimestamp(text) ?? unreadableTime('date'),
  write: (value) => (value instanceof Date ? timestampText(value) : undefined) ?? unwritable('date', 'a valid Date'),
}

/** A `date` as the `Date` of its beginning in the zone of this process, as node-postgres has it. */
export const localDate: TypeConversion<Date | number> = {
  list: false,
  read: (text) => atLocal(readTimestamp(text) ?? unreadableTime('date')) ?? unreadableTime('date'),
  write: (value) => (value instanceof Date ? localText(value) : undefined) ?? unwritable('date', 'a valid Date'),
}

/** A value of `inet` or `cidr`. */
export interface Network {
  readonly address: string
  /** How many bits are of the network: all of them for a single host. */
  readonly prefix: number
}

/** An address of the types `inet` and `cidr`. */
export const network: TypeConversion<Network> = {
  list: false,
  read(text) {
    const slash = text.indexOf('/')
    if (slash < 0) return { address: text, prefix: text.includes(':') ? 128 : 32 }
    return { address: text.slice(0, slash), prefix: Number(text.slice(slash + 1)) }
  },
  write(value) {
    const { address, prefix } = value as Partial<Network>
    if (typeof address !== 'string')
      return unwritable('inet', 'an object with address, and prefix where it is a network')
    return prefix === undefined ? address : `${address}/${prefix}`
  },
}
