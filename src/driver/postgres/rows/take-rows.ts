// Reads the rows of an answer in one loop, as they stand one behind the other in the received bytes, or keeps them. It knows no
// connection; the exchange decides whose rows they are and that they may come now.
import { OpState } from '../../driver.ts'
import { endOf, header, Message } from '../inbox.ts'
import type { Step } from '../step.ts'
import type { ExchangeHost } from '../wire.ts'
import { isMisfit, misfit } from './field-reader.ts'
import { KeptBytes } from './held-rows.ts'
import type { Bytes, RowDecoder } from './row-decoder.ts'
import { unreadColumn } from './unread-column.ts'

/**
 * Reads the whole DataRows from `from` on. Gives where the first message begins that is another or has not come whole.
 * @throws {ProtocolError} for one that does not fit the description of its columns.
 */
export function takeRows(
  step: Step,
  bytes: Buffer,
  from: number,
  to: number,
  host: Pick<ExchangeHost, 'garbled'>,
): number {
  const { decoder, op, width } = step
  const { rows } = op
  const wanted = step.failure === null && op.state !== OpState.abandoned && decoder !== null
  const held = wanted ? heldBy(step, host) : null
  let reads = wanted && held === null
  let count = 0
  let at = from
  while (at + header <= to && bytes[at] === Message.dataRow) {
    const end = endOf(bytes, at)
    if (end > to) break
    const body = at + header
    if (end < body + 2 || (((bytes[body] as number) << 8) | (bytes[body + 1] as number)) !== width) throw misfit()
    at = end
    count++
    if (!reads) continue
    try {
      decoder?.push(bytes as Bytes, body + 2, end, rows)
    } catch (cause) {
      if (isMisfit(cause)) throw cause
      const column = unreadColumn(decoder as RowDecoder, bytes as Bytes, body + 2)
      step.failure = { kind: 'decode', outcome: 'unknown', cause, column }
      reads = false
    }
  }
  if (held !== null) {
    held.keep(bytes, from, at, count)
    op.held = (op.held ?? 0) + count
  }
  step.received += count
  step.bytes += at - from - count * header
  step.portal?.arrived?.()
  return at
}

/** Null: its rows are read at once. */
function heldBy({ portal, decoder, keeps, op }: Step, host: Pick<ExchangeHost, 'garbled'>): KeptBytes | null {
  if (!portal || decoder === null || keeps || op.rows.length > 0 || portal.holds?.(op) !== true) return null
  portal.held ??= new KeptBytes(decoder, (cause) => host.garbled(cause))
  return portal.held as KeptBytes
}
