// One command on the wire and its answer, as an object in mysql2's queue: a text, a statement to be prepared or run, a ping. It reads
// every packet itself, so that it knows the status of the session from each of them.
import { ProtocolError } from '../../errors/index.ts'
import type { Client, Command, ReadPacket, WrittenPacket } from './client.ts'
import {
  type Column,
  Cursor,
  type Ok,
  readColumn,
  readOk,
  readRefusal,
  ServerStatus,
  type ServerRefusal,
} from './packets.ts'

/** What an exchange tells; each is called from inside the arrival of a packet. */
export interface Answer {
  /** The columns of a result. */
  columns(columns: readonly Column[]): void
  /** A row of the last result whose columns have come. */
  row(cursor: Cursor): void
  /** An end of a result, or an OK. */
  status(status: number, ok: Ok | null): void
  /** It is over. Called once. */
  end(refusal: ServerRefusal | null): void
  /** The connection is lost. Called once, instead of `end`. */
  lost(error: unknown): void
}

const State = { header: 0, columns: 1, columnsEnd: 2, rows: 3 } as const
type State = (typeof State)[keyof typeof State]

const ok = 0x00
const refused = 0xff
const eof = 0xfe
const localFile = 0xfb

/** All exchanges read one after the other. */
const cursor = new Cursor()

function isEof(packet: ReadPacket): boolean {
  return packet.buffer[packet.offset] === eof && packet.end - packet.offset < 9
}

function send(packet: WrittenPacket, connection: Client): void {
  connection._resetSequenceId()
  connection.writePacket(packet)
}

/** A packet that is sent, and the packets that answer it. */
abstract class Asking implements Command {
  readonly #packet: WrittenPacket
  #over = false

  constructor(packet: WrittenPacket) {
    this.#packet = packet
  }

  execute(packet: ReadPacket | undefined, connection: Client): boolean {
    if (packet === undefined) {
      send(this.#packet, connection)
      return false
    }
    cursor.load(packet.buffer, packet.offset, packet.end)
    return this.arrived(packet)
  }

  onResult(error: unknown): void {
    if (this.#over) return
    this.#over = true
    this.lost(error)
  }

  /** The last packet has come. Called before the answer is passed on: whoever gets it may end the connection. */
  protected end(): void {
    this.#over = true
  }

  /** One that the cursor stands at the beginning of. True: it was the last. */
  protected abstract arrived(packet: ReadPacket): boolean

  protected abstract lost(error: unknown): void
}

export class Exchange extends Asking {
  readonly #answer: Answer
  #state: State = State.header
  #due = 0
  #columns: Column[] = []

  constructor(packet: WrittenPacket, answer: Answer) {
    super(packet)
    this.#answer = answer
  }

  protected arrived(packet: ReadPacket): boolean {
    const first = packet.buffer[packet.offset]
    if (first === refused) return this.#end(readRefusal(cursor))
    switch (this.#state) {
      case State.header:
        return this.#header(first)
      case State.columns:
        this.#columns.push(readColumn(cursor))
        if (--this.#due === 0) this.#state = State.columnsEnd
        return false
      case State.columnsEnd:
        this.#state = State.rows
        this.#answer.columns(this.#columns)
        return false
      case State.rows:
        if (!isEof(packet)) {
          this.#answer.row(cursor)
          return false
        }
        cursor.at += 3
        return this.#next(cursor.uint16(), null)
    }
  }

  #header(first: number | undefined): boolean {
    if (first === ok) {
      const answer = readOk(cursor)
      return this.#next(answer.status, answer)
    }
    // The flag that allows it is never set.
    if (first === localFile) throw new ProtocolError('the server asks for a file')
    this.#due = cursor.count()
    this.#columns = []
    this.#state = State.columns
    return false
  }

  #next(status: number, answer: Ok | null): boolean {
    this.#answer.status(status, answer)
    if ((status & ServerStatus.moreResults) === 0) return this.#end(null)
    this.#state = State.header
    return false
  }

  #end(refusal: ServerRefusal | null): boolean {
    this.end()
    this.#answer.end(refusal)
    return true
  }

  protected lost(error: unknown): void {
    this.#answer.lost(error)
  }
}

export interface Prepared {
  readonly id: number
  readonly parameters: number
}

/** Asks the server to prepare a text. */
export class Preparing extends Asking {
  readonly #ended: (prepared: Prepared | null, refusal: ServerRefusal | null) => void
  readonly #lost: (error: unknown) => void
  #prepared: Prepared | null = null
  #due = 0

  constructor(
    packet: WrittenPacket,
    ended: (prepared: Prepared | null, refusal: ServerRefusal | null) => void,
    lost: (error: unknown) => void,
  ) {
    super(packet)
    this.#ended = ended
    this.#lost = lost
  }

  protected arrived(packet: ReadPacket): boolean {
    if (this.#prepared === null) {
      const first = packet.buffer[packet.offset]
      if (first === refused) return this.#settle(null, readRefusal(cursor))
      if (first !== ok) throw new ProtocolError('the answer to a statement that was to be prepared is none')
      cursor.at++
      const id = cursor.uint32()
      const columns = cursor.uint16()
      const parameters = cursor.uint16()
      this.#prepared = { id, parameters }
      // Definitions of each, and an end behind them.
      this.#due = (parameters > 0 ? parameters + 1 : 0) + (columns > 0 ? columns + 1 : 0)
    } else this.#due--
    return this.#due > 0 ? false : this.#settle(this.#prepared, null)
  }

  #settle(prepared: Prepared | null, refusal: ServerRefusal | null): boolean {
    this.end()
    this.#ended(prepared, refusal)
    return true
  }

  protected lost(error: unknown): void {
    this.#lost(error)
  }
}

/** A command that the server does not answer. */
export class Farewell implements Command {
  readonly #packet: WrittenPacket

  constructor(packet: WrittenPacket) {
    this.#packet = packet
  }

  execute(_packet: ReadPacket | undefined, connection: Client): boolean {
    send(this.#packet, connection)
    return true
  }

  onResult(): void {}
}
