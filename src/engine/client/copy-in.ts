// Rows on their way to a table by COPY: from any source that gives bytes or text, as a stream of Node.js or of the web.
import type { Writable } from 'node:stream'
import type { CopySink } from '../../driver/driver.ts'
import { captureStack, UsageError } from '../../errors/index.ts'
import { clock, deferred } from '../../util/clock.ts'
import type { Copying } from '../../pool/lease.ts'
import { describeType, isWellFormed } from '../../util/options.ts'
import { Printable } from '../../util/thrown.ts'
import { currentChain, type Link, push, runIn } from '../context/chain.ts'
import type { Frame } from '../context/frame.ts'
import { Origin, thrownError } from '../query/failure.ts'
import type { EngineOp } from '../query/op.ts'

/** A COPY, for the engine that stops it when the caller gives up. */
export type Port = Copying & { place: string; begun: Link | undefined; stop(): void }

/** Sends the statement. */
export type Begin = (port: Port) => Promise<EngineOp>

/** Bytes or text in chunks that may end anywhere: Node and web streams, arrays, generators. A string or buffer is one chunk. */
export type CopyData = string | Uint8Array | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>

/** A message to the server is no longer. */
const longestPiece = 1_048_576
/** So many are written before other code runs. */
const piecesOfATurn = 256
const giveUp = 'the source of the data has failed'
const brokenText = 'copyFrom() was given text with half of a surrogate pair, which UTF-8 cannot hold.'

/** Rows on their way into a table, as `copyFrom()` gives it. It runs once, by one of its methods. */
export class CopyIn extends Printable {
  readonly #begin: Begin
  readonly #frame: () => Frame | null
  #used = false

  /** @internal Use `db.copyFrom(target)`. `frame`: a new one, for the code that gives the rows. */
  constructor(begin: Begin, frame: () => Frame | null) {
    super()
    this.#begin = begin
    this.#frame = frame
  }

  /**
   * Sends all of it, and returns the number of rows. An error of the source goes to the caller, and no row is kept.
   * @throws {QueryError} when the server refuses the statement or a row. The source is then read no further.
   */
  async from(data: CopyData): Promise<number> {
    const source = piecesOf(data)
    const frame = this.#frame()
    const chain = frame === null ? currentChain() : push(frame, currentChain())
    const run = this.#start(frame)
    try {
      for (;;) {
        const next = runIn(chain, () => source.next())
        next.catch(() => {})
        const piece = await run.unlessFailed(next)
        if (piece.done === true) return await run.end()
        await run.write(piece.value)
      }
    } catch (error) {
      if (run.error === undefined) await run.fail()
      // It was made where the answer came, far from the caller.
      else if (error === run.error) captureStack(run.error)
      source.return().catch(() => {})
      throw error
    } finally {
      frame?.end()
    }
  }

  /** For `pipeline()` of Node. It finishes when the server has taken all rows. */
  writable(): Writable {
    const run = this.#start(null, new Origin())
    const told = (work: Promise<unknown>, settled: (error?: Error | null) => void): void => {
      work.then(
        () => settled(),
        (error: unknown) => settled(error as Error),
      )
    }
    const { Writable: Sink } = process.getBuiltinModule('node:stream')
    const stream = new Sink({
      decodeStrings: false,
      write: (chunk: string | Uint8Array, encoding, settled) => told(run.write(chunk, encoding), settled),
      final: (settled) => told(run.end(), settled),
      destroy: (error, settled) => void run.fail().then(() => settled(error)),
    })
    run.failed.catch((error: unknown) => stream.destroy(error as Error))
    return stream
  }

  /** For `pipeTo()` of the web. It closes when the server has taken all rows. */
  stream(): WritableStream<string | Uint8Array> {
    const run = this.#start(null, new Origin())
    return new WritableStream<string | Uint8Array>({
      start: (controller) => void run.failed.catch((error: unknown) => controller.error(error)),
      write: (chunk) => run.write(chunk),
      close: async () => void (await run.end()),
      abort: () => run.fail(),
    })
  }

  #start(frame: Frame | null, origin: Origin | null = null): Loading {
    if (this.#used) throw new UsageError('This copyFrom() has run already. Call copyFrom() again for another COPY.')
    this.#used = true
    return new Loading(this.#begin, frame, origin)
  }

  override toString(): string {
    return `CopyIn {${this.#used ? ' used ' : ''}}`
  }
}

/** One COPY under way. */
class Loading implements Port {
  readonly gives = true
  open = true
  readonly frame: Frame | null
  place = ''
  begun: Link | undefined
  /** The writer was asked to go on. */
  idle = false
  /** Why it has failed; undefined while it has not. */
  error: Error | undefined = undefined
  /** Rejects when it has failed. */
  readonly failed: Promise<never>
  readonly #origin: Origin | null
  readonly #done: Promise<number>
  readonly #ready = deferred<CopySink>()
  readonly #waiting = new Set<(error: Error) => void>()
  #sink: CopySink | null = null
  #stopped = false
  /** The first half of a character, where a piece of text has ended between its halves. */
  #half = ''
  #pieces = 0

  constructor(begin: Begin, frame: Frame | null, origin: Origin | null) {
    this.frame = frame
    this.#origin = origin
    this.#done = this.#run(begin)
    this.failed = new Promise((_, reject) => {
      this.#done.catch((error: unknown) => {
        const known = error as Error
        this.error = known
        this.#origin?.mark(known)
        for (const giveUpWaiting of this.#waiting) giveUpWaiting(known)
        reject(known)
      })
    })
    this.failed.catch(() => {})
  }

  async #run(begin: Begin): Promise<number> {
    const op = await begin(this)
    try {
      await op.wait()
    } catch (thrown) {
      throw thrownError(thrown, op)
    } finally {
      this.open = false
    }
    if (this.#sink === null)
      throw new UsageError(
        'The driver carries no data of a COPY, so copyFrom() has sent nothing. The drivers pg and socket do.',
      )
    return op.count
  }

  take(sink: CopySink): void {
    this.#sink = sink
    this.idle = true
    if (this.#stopped) sink.fail(giveUp)
    else this.#ready.resolve(sink)
  }

  give(): void {}

  data(): void {}

  stop(): void {
    this.#stopped = true
    this.#sink?.fail(giveUp)
  }

  /** As `work`, or rejects as soon as it has failed. `Promise.race` would keep what it gave until the end of the COPY. */
  unlessFailed<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.error !== undefined) return reject(this.error)
      this.#waiting.add(reject)
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject))
    })
  }

  /** `encoding`: of a text; default UTF-8. A chunk that cannot be sent fails the COPY. */
  async write(chunk: unknown, encoding?: BufferEncoding): Promise<void> {
    const bytes = this.#bytesOf(chunk, encoding)
    const sink = await this.#open()
    this.idle = false
    for (let at = 0; at < bytes.length; at += longestPiece) {
      const gone = sink.write(bytes.subarray(at, at + longestPiece))
      if (gone !== null) await this.unlessFailed(gone)
      // A source that waits for nothing would keep all other code of the process from running.
      else if (++this.#pieces % piecesOfATurn === 0) await new Promise<void>((resolve) => clock.setImmediate(resolve))
    }
    this.idle = true
  }

  async end(): Promise<number> {
    if (this.#half !== '') this.#refuse(brokenText)
    this.open = false
    const sink = await this.#open()
    sink.end()
    return this.#done
  }

  /** Nothing is kept; settles when the server has said so, never rejects. */
  async fail(): Promise<void> {
    this.stop()
    await this.#done.catch(() => {})
  }

  #bytesOf(chunk: unknown, encoding: BufferEncoding | undefined): Uint8Array {
    if (typeof chunk === 'string' && (encoding === undefined || /^utf-?8$/i.test(encoding))) return this.#utf8(chunk)
    if (this.#half !== '') this.#refuse(brokenText)
    if (typeof chunk === 'string') return Buffer.from(chunk, encoding)
    if (chunk instanceof Uint8Array) return chunk
    return this.#refuse(
      `copyFrom() takes text and bytes, not ${describeType(chunk)}. Write rows as the format has them.`,
    )
  }

  #utf8(chunk: string): Uint8Array {
    const text = this.#half + chunk
    const whole = /[\ud800-\udbff]$/.test(text) ? text.slice(0, -1) : text
    this.#half = text.slice(whole.length)
    if (!isWellFormed(whole)) this.#refuse(brokenText)
    return Buffer.from(whole)
  }

  /** Ends the COPY, so that the server keeps nothing. A web stream that fails by itself does not say so. */
  #refuse(message: string): never {
    this.stop()
    const error = new UsageError(message)
    this.#origin?.mark(error)
    throw error
  }

  /** @throws what it has failed with. */
  async #open(): Promise<CopySink> {
    if (this.error !== undefined) throw this.error
    return this.#sink ?? (await this.unlessFailed(this.#ready.promise))
  }
}

/** @throws {UsageError} for what gives nothing. */
function piecesOf(data: CopyData): AsyncGenerator<unknown, void, undefined> {
  if (typeof data !== 'string' && !(data instanceof Uint8Array) && !givesPieces(data))
    throw new UsageError(
      `copyFrom() reads text, bytes, a stream or another iterable of these, not ${describeType(data)}.`,
    )
  return pieces(typeof data === 'string' || data instanceof Uint8Array ? [data] : data)
}

async function* pieces(data: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<unknown, void, undefined> {
  yield* data
}

/** A proxy may throw when it is looked at. */
function givesPieces(data: unknown): boolean {
  try {
    const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = data as Partial<
      AsyncIterable<unknown> & Iterable<unknown>
    >
    return typeof later === 'function' || typeof now === 'function'
  } catch {
    return false
  }
}
