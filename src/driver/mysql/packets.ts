// The packets of the MySQL protocol that a session writes and reads, as bytes. It knows no connection.
// See the MariaDB Knowledge Base, "Clients & Utilities: Connecting: 4-Server Response Packets".
import { ProtocolError } from '../../errors/index.ts'
import { isUtf8mb4 } from '../../sql/settings.ts'
import type { WrittenPacket } from './client.ts'

export const Code = {
  quit: 1,
  useDatabase: 2,
  query: 3,
  ping: 14,
  prepare: 22,
  execute: 23,
  close: 25,
  reset: 31,
} as const

/** Flags of the session in every OK and EOF packet. */
export const ServerStatus = {
  transaction: 0x0001,
  autocommit: 0x0002,
  moreResults: 0x0008,
  noBackslashEscapes: 0x0200,
  changed: 0x4000,
  ansiQuotes: 0x8000,
} as const

class Packet implements WrittenPacket {
  readonly buffer: Buffer

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  /**
   * mysql2 asks for it only to cut a payload into pieces of the most bytes that a packet has. With one more than the payload has, an
   * empty piece follows where the last one is full, and nowhere else.
   */
  length(): number {
    return this.buffer.length - 3
  }

  writeHeader(sequence: number): void {
    this.buffer.writeUIntLE(this.buffer.length - 4, 0, 3)
    this.buffer[3] = sequence
  }
}

export function packetOf(buffer: Buffer): WrittenPacket {
  return new Packet(buffer)
}

/** A command with a text, or none. */
export function textPacket(code: number, text = ''): WrittenPacket {
  const buffer = Buffer.allocUnsafe(5 + Buffer.byteLength(text))
  buffer[4] = code
  buffer.write(text, 5)
  return new Packet(buffer)
}

/** A command about a prepared statement. */
export function numberPacket(code: number, number: number): WrittenPacket {
  const buffer = Buffer.allocUnsafe(9)
  buffer[4] = code
  buffer.writeUInt32LE(number, 5)
  return new Packet(buffer)
}

/** What Node.js has beneath `toString`: for short texts half of the time. */
interface Bytes extends Buffer {
  utf8Slice(start: number, end: number): string
  latin1Slice(start: number, end: number): string
}

/** Reads a payload from its start. Past the end it gives what is there: whoever reads rows asks `overrun`. */
export class Cursor {
  buffer: Buffer = Buffer.alloc(0)
  at = 0
  end = 0

  load(buffer: Buffer, at: number, end: number): this {
    this.buffer = buffer
    this.at = at
    this.end = end
    return this
  }

  get overrun(): boolean {
    return this.at > this.end
  }

  byte(): number {
    return this.buffer[this.at++] as number
  }

  uint16(): number {
    const value = this.buffer.readUInt16LE(this.at)
    this.at += 2
    return value
  }

  uint32(): number {
    const value = this.buffer.readUInt32LE(this.at)
    this.at += 4
    return value
  }

  /** A length-encoded whole number; -1 for NULL. */
  count(): number {
    const first = this.byte()
    if (first < 0xfb) return first
    if (first === 0xfb) return -1
    const size = first === 0xfc ? 2 : first === 0xfd ? 3 : 8
    const value = size === 8 ? Number(this.buffer.readBigUInt64LE(this.at)) : this.buffer.readUIntLE(this.at, size)
    this.at += size
    return value
  }

  text(): string {
    const length = this.#length()
    const from = this.at
    this.at += length
    return (this.buffer as Bytes).utf8Slice(from, this.at)
  }

  latin1(): string {
    const length = this.#length()
    const from = this.at
    this.at += length
    return (this.buffer as Bytes).latin1Slice(from, this.at)
  }

  /** A copy: the bytes of the packet are those of the socket's next one. */
  bytes(): Buffer {
    const length = this.#length()
    const from = this.at
    this.at += length
    return Buffer.from(this.buffer.subarray(from, this.at))
  }

  skip(): void {
    const length = this.#length()
    this.at += length
  }

  /** Of what cannot be NULL: a loop over such lengths goes on. */
  #length(): number {
    const length = this.count()
    if (length < 0) throw new ProtocolError('a length below 0')
    return length
  }
}

export interface Ok {
  readonly affected: number
  /** Of the first row that was inserted; 0 for none. */
  readonly insertId: bigint | number
  readonly status: number
  readonly warnings: number
  /** The database that is the current one from now on, if it has become another. */
  readonly database: string | null
  /** The time zone of the session from now on, if it was set. */
  readonly zone: string | null
  /** The character set or collation that the session has from now on, if it is not of utf8mb4; `''` for none at all. */
  readonly charset: string | null
}

const tracksVariable = 0
const tracksDatabase = 1

export function readOk(cursor: Cursor): Ok {
  cursor.at++
  const affected = cursor.count()
  const insertId = readBigCount(cursor)
  const status = cursor.uint16()
  const warnings = cursor.uint16()
  let database: string | null = null
  let zone: string | null = null
  let charset: string | null = null
  if ((status & ServerStatus.changed) !== 0 && cursor.at < cursor.end) {
    cursor.skip()
    const length = cursor.at < cursor.end ? cursor.count() : 0
    const end = cursor.at + length
    while (cursor.at < end) {
      const kind = cursor.byte()
      const size = cursor.count()
      const next = cursor.at + size
      if (kind === tracksDatabase) database = cursor.text()
      // MariaDB may name several in one entry.
      else if (kind === tracksVariable)
        while (cursor.at < next) {
          const name = cursor.latin1()
          const value = cursor.text()
          if (name === 'time_zone') zone = value
          else if (/^(?:character_set|collation)_/.test(name) && !isUtf8mb4(value)) charset = value
        }
      cursor.at = next
    }
  }
  return { affected, insertId, status, warnings, database, zone, charset }
}

function readBigCount(cursor: Cursor): bigint | number {
  if (cursor.buffer[cursor.at] !== 0xfe) return cursor.count()
  const value = cursor.buffer.readBigUInt64LE(cursor.at + 1)
  cursor.at += 9
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

export interface ServerRefusal {
  readonly errno: number
  readonly sqlState: string
  readonly message: string
}

export function readRefusal(cursor: Cursor): ServerRefusal {
  cursor.at++
  const errno = cursor.uint16()
  let sqlState = ''
  if (cursor.buffer[cursor.at] === 0x23) {
    sqlState = cursor.buffer.toString('latin1', cursor.at + 1, cursor.at + 6)
    cursor.at += 6
  }
  return { errno, sqlState, message: cursor.buffer.toString('utf8', cursor.at, cursor.end) }
}

/** A column of a result. `charset` 63 is bytes. */
export interface Column {
  readonly name: string
  readonly type: number
  readonly flags: number
  readonly length: number
  readonly charset: number
  readonly decimals: number
  readonly json: boolean
}

/** What follows the names, with the byte that says how long it is. */
const tail = 13

export function readColumn(cursor: Cursor): Column {
  for (let i = 0; i < 4; i++) cursor.skip()
  const name = cursor.text()
  cursor.skip()
  // MariaDB may say more of the type between the names and the rest.
  let json = false
  if (cursor.end - cursor.at > tail) {
    const end = cursor.count() + cursor.at
    while (cursor.at < end) {
      const kind = cursor.byte()
      const said = cursor.latin1()
      if (kind === 1 && said === 'json') json = true
    }
    cursor.at = end
  }
  cursor.at++
  const charset = cursor.uint16()
  const length = cursor.uint32()
  const type = cursor.byte()
  const flags = cursor.uint16()
  return { name, type, flags, length, charset, decimals: cursor.byte(), json }
}
