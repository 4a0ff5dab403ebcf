// The rows of a portal that have arrived and were not read: their bytes, outside of the memory that V8 collects. A row becomes an
// object when somebody asks for it, so objects that are read soon do not grow old while they wait. All portals use the memory again.
import type { Failure, HeldRows } from '../../driver.ts'
import { endOf, header } from '../inbox.ts'
import { isMisfit } from './field-reader.ts'
import type { Bytes, RowDecoder } from './row-decoder.ts'
import { unreadColumn } from './unread-column.ts'

/** The memory of a part of the rows, whole messages one behind the other. */
interface Block {
  readonly bytes: Bytes
  /** How many bytes of it are in use. */
  to: number
}

const blockSize = 1 << 16
/** The first rows of a portal take no more memory than they need, if they are no more: thousands of portals may have one row each. */
const few = 1 << 12
/** So many are kept for those who need one next. */
const mostFree = 16
const free: Block[] = []

export class KeptBytes implements HeldRows {
  length = 0
  readonly #decoder: RowDecoder
  readonly #garbled: (cause: unknown) => void
  #blocks: Block[] = []
  /** Where the next row begins in the first of them. */
  #at = 0
  #over = false

  /** @param garbled Called for a row that does not fit the description of its columns. */
  constructor(decoder: RowDecoder, garbled: (cause: unknown) => void) {
    this.#decoder = decoder
    this.#garbled = garbled
  }

  /** Copies so many whole DataRows, from their headers on. */
  keep(bytes: Buffer, from: number, to: number, count: number): void {
    if (this.#over) return
    this.length += count
    for (let at = from; at < to;) {
      let end = endOf(bytes, at)
      const block = this.#roomFor(end - at, to - at)
      const most = at + block.bytes.length - block.to
      if (to <= most) end = to
      else for (let next = end; next <= most; next = endOf(bytes, next)) end = next
      bytes.copy(block.bytes, block.to, at, end)
      block.to += end - at
      at = end
    }
  }

  read(rows: unknown[], most: number, bytes: number): Failure | null {
    const decoder = this.#decoder
    let left = bytes
    let count = Math.min(most, this.length)
    let block: Block | null = null
    let row = 0
    try {
      while (count > 0 && left > 0) {
        block = this.#first()
        let at = this.#at
        const from = at
        // What a row that cannot be read has taken is passed over with it.
        for (; count > 0 && at < block.to && at - from < left; count--) {
          row = at
          this.#at = at = endOf(block.bytes, row)
          this.length--
          // Behind the header stands the number of its fields.
          decoder.push(block.bytes, row + header + 2, at, rows)
        }
        left -= at - from
      }
    } catch (cause) {
      const misfits = isMisfit(cause)
      if (misfits) this.#garbled(cause)
      const column = misfits || block === null ? undefined : unreadColumn(decoder, block.bytes, row + header + 2)
      return { kind: misfits ? 'protocol' : 'decode', outcome: 'rolled_back', cause, column }
    } finally {
      if (this.length === 0) this.#release()
    }
    return null
  }

  end(): void {
    this.#over = true
    this.clear()
  }

  clear(): void {
    this.length = 0
    this.#release()
  }

  /** The one with the next row. */
  #first(): Block {
    const block = this.#blocks[0] as Block
    if (this.#at < block.to) return block
    this.#blocks.shift()
    this.#at = 0
    giveBack(block)
    return this.#blocks[0] as Block
  }

  /** For a row of that size. `left`: of it and those behind it. */
  #roomFor(size: number, left: number): Block {
    const last = this.#blocks.at(-1)
    if (last !== undefined && last.to + size <= last.bytes.length) return last
    const block = (size <= blockSize ? free.pop() : undefined) ?? { bytes: made(last === undefined, size, left), to: 0 }
    this.#blocks.push(block)
    return block
  }

  #release(): void {
    for (const block of this.#blocks) giveBack(block)
    this.#blocks = []
    this.#at = 0
  }
}

function made(first: boolean, size: number, left: number): Bytes {
  return (first && left <= few ? Buffer.allocUnsafe(left) : Buffer.allocUnsafeSlow(Math.max(size, blockSize))) as Bytes
}

function giveBack(block: Block): void {
  block.to = 0
  if (block.bytes.length === blockSize && free.length < mostFree) free.push(block)
}
