// The text of a time of MySQL as a Date in UTC.
import { ProtocolError } from '../errors/index.ts'

/** `0000-00-00 00:00:00` is no time, and there is no 30th of February: such a one stays text. */
export function readTime(text: string): Date | string {
  const date = new Date(`${text.slice(0, 10)}T${text.slice(11) || '00:00:00'}Z`)
  // JavaScript takes the 30th of February for a day of March.
  if (date.getUTCDate() === Number(text.slice(8, 10))) return date
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) return text
  throw new ProtocolError('a time that cannot be read')
}
