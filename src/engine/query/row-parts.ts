// The rows of one statement in parts: a portal where the driver has them, else an SQL cursor, and FETCH for each part. Where nothing
// but its rows can come of a portal, the next parts are asked for while one is read.
import { type Failure, type HeldRows, OpState, type Portal } from '../../driver/driver.ts'
import { before, clock } from '../../util/clock.ts'
import { type Compiled, ownRead } from '../../sql/compiled.ts'
import type { CursorWords } from '../../sql/dialect.ts'
import { comesBehindRows, unheard } from './failure.ts'
import type { EngineOp } from './op.ts'

/** The most that is asked for ahead: parts, at first and for those who read on, rows, and bytes of them as the server sends them. */
const firstParts = 8
const mostParts = 32
const mostRows = 4_000
const mostBytes = 1 << 21
/** Bytes. PostgreSQL sends rows when this is full (`PQ_SEND_BUFFER_SIZE`), or a part has ended. */
const sendBuffer = 8_192
/** The time for which leaving a loop waits for the parts that were asked for, in milliseconds. To stop the server takes longer. */
const patienceMs = 100

/** The cursor, as far as its parts know it. */
interface Sender {
  /** Sends a statement of the cursor. `portal`: the statement gives rows. `isAhead`: nobody waits for it. */
  sendPart(
    stmt: Compiled,
    params: readonly unknown[],
    portal: RowParts | null,
    rows: number,
    isAhead: boolean,
  ): EngineOp
  /** Whether nothing is made of all rows of a part together. */
  readonly inPieces: boolean
  /** Whether more may be asked for than is wanted now. */
  mayAskAhead(): boolean
  /** As the server shows it. */
  tagged(text: string): string
  /** The statement that a portal is made of. */
  bound(stmt: Compiled): Compiled
}

/** Rows, and what brought them. */
export interface Fetched {
  readonly op: EngineOp
  readonly came: readonly unknown[]
}

/** How much is read at once. */
export interface Wanted {
  readonly least: number
  readonly most: number
  readonly bytes: number
}

export class RowParts implements Portal {
  readonly name: string
  columns: object | null = null
  ended = false
  bytes = 0
  held: HeldRows | null = null
  readonly #words: CursorWords
  readonly #sender: Sender
  readonly #isPortal: boolean
  #fetch: Compiled | null = null
  /** The parts that were sent and that nobody has read. */
  #asked: EngineOp[] = []
  /** Some rows of this part were read, or the rows before its failure. */
  #reading: EngineOp | null = null
  /** Why the row that is next cannot be read. */
  #unreadable: Failure | null = null
  /** The part that the reader waits for. `#least` of its rows are enough. */
  #awaited: EngineOp | null = null
  #least = 0
  #wake: () => void = () => {}
  /** Whether rows of the part that is read may be read before it has come whole. */
  #early = false
  /** How many parts, and how many rows of them, somebody has read. */
  #parts = 0
  #rows = 0

  constructor(name: string, words: CursorWords, isPortal: boolean, sender: Sender) {
    this.name = name
    this.#words = words
    this.#isPortal = isPortal
    this.#sender = sender
  }

  /** Runs the statement. A portal gives the first `size` rows at once: they are the first part. */
  open(stmt: Compiled, params: readonly unknown[], size: number): EngineOp {
    if (!this.#isPortal) {
      const text = this.#sender.tagged(this.#words.declare(this.name, stmt.text))
      return this.#sender.sendPart(declaration(text, stmt), params, null, 0, false)
    }
    const op = this.#sender.sendPart(this.#sender.bound(stmt), params, this, size, false)
    this.#asked.push(op)
    return op
  }

  /** The part whose rows are next. It may be on its way. */
  next(size: number): EngineOp {
    // One that is sent now fails by the signal.
    const aborted = (this.#reading ?? this.#asked[0])?.signal?.aborted === true
    if (this.#reading !== null && !aborted) return this.#reading
    const isAhead = this.#isPortal && this.#parts > 0 && !this.ended && !aborted && this.#sender.mayAskAhead()
    const op = (aborted ? undefined : this.#asked.shift()) ?? this.#ask(size, isAhead)
    this.#early = isAhead && this.#sender.inPieces
    this.#parts++
    if (isAhead) this.#askAhead(size)
    return op
  }

  /**
   * Up to so many rows of that part, when it or the first `least` of them have come; fewer behind so many bytes. Rejects as `come` does, and
   * with the failure of a row that cannot be read, behind the rows before it. Nothing that knows the operation keeps them alive.
   */
  async read(op: EngineOp, wanted: Wanted, until: number): Promise<readonly unknown[]> {
    if (this.#unreadable === null) await this.waitFor(op, wanted.least, until)
    const rows = this.#unreadable === null ? this.#take(op, wanted) : []
    return rows.length > 0 ? rows : this.#noRows(op)
  }

  /** Those that are here, if they are so many at least. Null: they have to be waited for, or asked for. */
  takeReady(least: number, size: number, bytes: number): readonly unknown[] | null {
    const op = this.#reading ?? this.#asked[0]
    if (op === undefined || !this.inPieces || this.#unreadable !== null || op.signal?.aborted === true) return null
    return unreadCount(op) < least ? null : this.#take(this.next(size), { most: size, bytes })
  }

  /**
   * Waits for that part, or for `least` of its rows. Rejects with its failure: with that of the server behind the rows before it.
   * @param until It is stopped then.
   */
  async waitFor(op: EngineOp, least: number, until: number): Promise<void> {
    const come = new Promise<boolean>((resolve, reject) => {
      this.#awaited = this.#early ? op : null
      this.#least = least
      this.#wake = () => resolve(true)
      op.wait().then(this.#wake, reject)
      this.arrived()
    })
    try {
      if (!(await before(until, come))) {
        op.abandon({ kind: 'timeout', outcome: 'unknown' })
        await come
      }
    } catch (failure) {
      if (unreadCount(op) === 0 || !comesBehindRows(failure)) throw failure
      unheard.add(failure as Failure)
    } finally {
      this.#awaited = null
    }
  }

  arrived(): void {
    const op = this.#awaited
    if (op !== null && unreadCount(op) >= this.#least && unreadCount(op) < op.maxRows) this.#wake()
  }

  /** Whether rows of the part are kept as they come. If the reader waits for the whole part, they are made at once. */
  holds(op: object): boolean {
    return op !== this.#awaited || this.#least < this.#awaited.maxRows
  }

  #take(op: EngineOp, { most, bytes }: Omit<Wanted, 'least'>): readonly unknown[] {
    const held = op.held > 0 ? this.#readHeld(op, most, bytes) : null
    const behind = op.held > 0 || this.#unreadable !== null ? [] : op.rows.splice(0, most - (held?.length ?? 0))
    const rows = held === null ? behind : behind.length === 0 ? held : held.concat(behind)
    const all =
      op.state === OpState.settled && op.failure === null && unreadCount(op) === 0 && this.#unreadable === null
    this.#reading = all ? null : op
    this.#rows += rows.length
    if (!this.#isPortal && rows.length < most) this.ended = true
    return rows
  }

  #readHeld(op: EngineOp, most: number, bytes: number): unknown[] {
    const held = this.held as HeldRows
    const { length } = held
    const rows: unknown[] = []
    this.#unreadable = held.read(rows, Math.min(most, op.held), bytes)
    op.held -= length - held.length
    return rows
  }

  /** There are no rows. Throws the failure of the one that is next, which is heard now. */
  #noRows(op: EngineOp): readonly unknown[] {
    if (this.#unreadable === null) return []
    op.transaction?.noteFailure(this.#unreadable, op)
    throw this.#unreadable as unknown
  }

  /** Whether some rows of a part may be read, and others later. */
  get inPieces(): boolean {
    return this.#isPortal && this.#sender.inPieces
  }

  /** There are no others. */
  get exhausted(): boolean {
    return this.ended && !this.ahead
  }

  /** Whether rows are on their way. */
  get ahead(): boolean {
    return this.#reading !== null || this.#asked.length > 0
  }

  /** Passes over so many rows, behind what was asked for. */
  skip(count: number): EngineOp {
    return this.#sender.sendPart(cursorStatement(this.#words.move(this.name, count)), [], null, 0, false)
  }

  /** Its transaction goes on without it. */
  close(): EngineOp {
    return this.#sender.sendPart(cursorStatement(this.#words.close(this.name)), [], null, 0, false)
  }

  /** Nobody reads on, and its transaction ends. False: a part that was asked for ahead has failed, or was stopped. */
  async endReading(): Promise<boolean> {
    const asked = this.forget()
    for (const op of asked) if (op.state === OpState.queued) op.drop()
    const sent = asked.filter(({ failure }) => failure?.outcome !== 'not_started')
    if (sent.some(({ state }) => state === OpState.sent)) {
      const answers = sent.map((op) =>
        op.wait().then(
          () => true,
          () => false,
        ),
      )
      const all = Promise.all(answers).then((each) => each.every(Boolean))
      const well = await before(clock.now() + patienceMs, all, null)
      if (well !== null) return well
      sent.find(({ state }) => state === OpState.sent)?.drop()
      return false
    }
    return sent.every(({ failure }) => failure === null)
  }

  /** Nothing that was asked for is read any more. */
  forget(): EngineOp[] {
    this.ended = true
    this.held?.end()
    const asked = this.#asked.splice(0)
    if (this.#reading !== null) asked.unshift(this.#reading)
    this.#reading = null
    return asked
  }

  #ask(size: number, isAhead = false): EngineOp {
    const text = this.#sender.tagged(this.#words.fetch(this.name, size))
    this.#fetch = this.#fetch?.text === text ? this.#fetch : cursorStatement(text)
    return this.#sender.sendPart(this.#fetch, [], this.#isPortal ? this : null, size, isAhead)
  }

  /** Several at once, when half of them are left: one packet costs less than many. */
  #askAhead(size: number): void {
    const rowBytes = Math.max(1, this.bytes / Math.max(1, this.#rows + (this.held?.length ?? 0)))
    const most = this.#ahead(size, rowBytes)
    let missing = most - this.#asked.reduce((parts, { maxRows }) => parts + Math.ceil(maxRows / size), 0)
    if (missing * 2 < most) return
    const each = this.#mayBeLong(size, rowBytes) ? Math.max(1, most >> 1) : 1
    for (; missing > 0; missing -= each) this.#asked.push(this.#ask(size * Math.min(each, missing), true))
  }

  /** How many parts are asked for ahead: fewer where rows are wide. */
  #ahead(size: number, rowBytes: number): number {
    const parts = Math.min(mostParts, Math.max(firstParts, this.#parts))
    return Math.max(1, Math.min(parts, Math.floor(Math.min(mostRows, mostBytes / rowBytes) / size)))
  }

  /**
   * Whether several parts may be asked for as one, which costs less. Within one part the server keeps rows back until its buffer is
   * full. A reader that waits for `size` rows may wait for a buffer more, so `size` rows have to be several buffers.
   */
  #mayBeLong(size: number, rowBytes: number): boolean {
    return this.#sender.inPieces && size >= 4 * Math.ceil(sendBuffer / rowBytes)
  }
}

/** How many of its rows have come and were not read. */
function unreadCount({ rows, held }: EngineOp): number {
  return rows.length + held
}

function declaration(text: string, stmt: Compiled): Compiled {
  return {
    ...cursorStatement(text),
    pins: stmt.pins,
    dirties: stmt.dirties,
    names: stmt.names,
  }
}

function cursorStatement(text: string): Compiled {
  return ownRead(text, text.slice(0, text.indexOf(' ')))
}
