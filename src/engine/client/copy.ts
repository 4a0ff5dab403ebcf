// `copyFrom(target)` and `copyTo(source)`: the COPY statement and its place, made ready when called. `copyFrom` sends it when
// it is given a source or asked for a stream, `copyTo` when the first piece is asked for. The data is carried by the files of the two directions.
import type { Readable } from 'node:stream'
import { UsageError } from '../../errors/index.ts'
import type { CopySink } from '../../driver/driver.ts'
import type { CopyOptions, CopyWords } from '../../sql/dialect.ts'
import { anyOf, boolean, type Checks, describeType, must } from '../../util/options.ts'
import { Printable } from '../../util/thrown.ts'
import { capturePlace } from '../../observe/place.ts'
import { Frame } from '../context/frame.ts'
import { callOptions, placeOf } from '../handle.ts'
import { Origin, thrownError } from '../query/failure.ts'
import { EngineOp } from '../query/op.ts'
import type { QueryOptions } from '../query/query-options.ts'
import { queryChecks } from '../query/query-terms.ts'
import { currentChain, type Link, tagsOf } from '../context/chain.ts'
import { type Begin, CopyIn, type Port } from './copy-in.ts'
import type { AmbientRunner, Runner } from '../query/runner.ts'

/** The format of the rows, and the options of any statement. `timeoutMs` covers the whole COPY. */
export interface CopyCallOptions extends CopyOptions, Omit<QueryOptions, 'from'> {}

const oneCharacter = must(
  'one character of one byte',
  (value) => typeof value === 'string' && /^[^\0\r\n\x80-\uffff]$/.test(value),
)
const line = must('a text without line breaks', (value) => typeof value === 'string' && !/[\0\r\n]/.test(value))

const { from: _from, ...ofStatements } = queryChecks

const checks: Checks<CopyCallOptions> = {
  ...ofStatements,
  format: anyOf('text', 'csv', 'binary'),
  header: boolean,
  delimiter: oneCharacter,
  nullText: line,
  quote: oneCharacter,
  escape: oneCharacter,
}

export function copyFrom(source: AmbientRunner, target: string, given: CopyCallOptions | undefined): CopyIn {
  const frame = (): Frame | null => {
    const engine = source.engineQuietly()
    return engine === null ? null : new Frame('reusing', engine, source.token(), null, null, null)
  }
  return new CopyIn(
    begin(source, 'copyFrom()', target, given, (words, options) => words.into(target, options)),
    frame,
  )
}

export function copyTo(source: AmbientRunner, from: string, given: CopyCallOptions | undefined): CopyOut {
  return new CopyOut(begin(source, 'copyTo()', from, given, (words, options) => words.from(from, options)))
}

function begin(
  source: AmbientRunner,
  method: string,
  subject: unknown,
  given: CopyCallOptions | undefined,
  text: (words: CopyWords, options: CopyOptions) => string,
): Begin {
  const options = callOptions<CopyCallOptions>(given, checks, method)
  if (typeof subject !== 'string' || subject.trim() === '' || subject.includes('\0'))
    throw new UsageError(
      `${method} takes the name of a table, with columns if need be, or the text of a query; it was given ${describeType(subject)}.`,
    )
  const place = placeOf<Runner>(options.on, source, method)
  const chain = place.chainHere()
  const at = capturePlace()
  return async (port) => {
    const begun = currentChain()
    const here = place.engineHere()
    const engine = here instanceof Promise ? await here : here
    const { copy } = engine.dialect
    if (copy === undefined) throw new UsageError(`${engine.dialect.title} has no COPY, so there is no ${method} here.`)
    copy.check(options)
    const { compiled } = engine.statements.compile(text(copy, options))
    if (compiled.cls === 'multi') throw new UsageError(`${method} takes one table or query, not several statements.`)
    const defaults = place.defaultsHere()
    const tags = tagsOf(defaults) ?? engine.options.query.tags
    const until = engine.until(options, defaults)
    // It runs in the unit of its transaction, as other statements that write.
    const tagged = tags === undefined ? compiled : engine.statements.tag(compiled, tags)
    const stmt = { ...tagged, cls: 'write' as const }
    const op = new EngineOp(engine, chain, place.handleHere(), stmt, [], null, null, 0, until, engine.signal(options))
    op.copy = port
    port.place = `${method} at ${at}`
    port.begun = begun
    place.slotHere(engine, chain)?.copy(op)
    place.send(op)
    return op
  }
}

// Rows on their way from the server: a loop over pieces of bytes, or a stream of Node or of the web.

/** Above it the server is read no further, below the other it is again. */
const enoughBytes = 262_144
const fewBytes = 65_536

/** The rows of a table or query on their way out, as `copyTo()` gives them. It is read once: by a loop, or as a stream. */
export class CopyOut extends Printable implements AsyncIterable<Uint8Array> {
  readonly #begin: Begin
  #used = false
  #rowCount: number | null = null

  /** @internal Use `db.copyTo(source)`. */
  constructor(send: Begin) {
    super()
    this.#begin = send
  }

  /** The number of rows. Null until the end. */
  get rowCount(): number | null {
    return this.#rowCount
  }

  /**
   * Chunks of whole rows, each with the rows received so far. Nothing is sent before the first is asked for. Leaving the loop
   * stops the server. In a transaction the rest is read and thrown away, because a cancelled statement would abort the
   * transaction.
   * @throws {QueryError} when the server refuses the statement, or fails in the middle.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#read(new Origin())
  }

  async *#read(origin: Origin): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#used) throw new UsageError('This copyTo() has been read already. Call copyTo() again for another COPY.')
    this.#used = true
    const run = new Unloading()
    const op = await this.#begin(run).catch((error: unknown) => {
      throw origin.mark(error)
    })
    run.follow(op)
    try {
      for (;;) {
        const piece = run.next()
        if (piece !== null) {
          run.idle = true
          yield piece
          run.idle = false
        } else if (!run.over) await run.more()
        else break
      }
      if (run.error !== undefined) throw origin.mark(run.error)
      this.#rowCount = op.count
    } finally {
      run.open = false
      if (!run.over) await run.leave(op)
    }
  }

  /** For `pipeline()` of Node. */
  readable(): Readable {
    const pieces = this.#read(new Origin())
    return process.getBuiltinModule('node:stream').Readable.from(pieces, { objectMode: false })
  }

  /** For a `Response` and `pipeTo()` of the web. */
  stream(): ReadableStream<Uint8Array> {
    const pieces = this.#read(new Origin())
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await pieces.next()
          if (done === true) controller.close()
          else controller.enqueue(value)
        },
        async cancel() {
          await pieces.return()
        },
      },
      { highWaterMark: 0 },
    )
  }

  override toString(): string {
    return `CopyOut {${this.#used ? ' used ' : ''}}`
  }
}

/** One COPY under way. */
class Unloading implements Port {
  readonly gives = false
  open = true
  readonly frame: null = null
  place = ''
  begun: Link | undefined
  over = false
  /** Its reader has a piece, and has not asked for more. */
  idle = false
  error: Error | undefined = undefined
  #given = false
  #pieces: Buffer[] = []
  #size = 0
  #wanted = true
  #paused = false
  #valve: { pause(): void; resume(): void } | null = null
  #wake: (() => void) | null = null
  #end: Promise<void> = Promise.resolve()

  follow(op: EngineOp): void {
    const ended = (error: Error | undefined): void => {
      this.over = true
      this.error = error
      this.#wake?.()
    }
    this.#end = op.wait().then(
      () =>
        ended(
          this.#given
            ? undefined
            : new UsageError(
                'The driver carries no data of a COPY, so copyTo() has read nothing. The drivers pg and socket do.',
              ),
        ),
      (thrown: unknown) => ended(thrownError(thrown, op) as Error),
    )
  }

  take(sink: CopySink): void {
    sink.fail('nothing is sent')
  }

  give(valve: { pause(): void; resume(): void }): void {
    this.#given = true
    this.#valve = valve
  }

  data(bytes: Uint8Array): void {
    if (!this.#wanted) return
    this.#pieces.push(Buffer.from(bytes))
    this.#size += bytes.length
    if (this.#size > enoughBytes && !this.#paused) {
      this.#paused = true
      this.#valve?.pause()
    }
    this.#wake?.()
  }

  /** Nothing is wanted any more. */
  stop(): void {
    this.#wanted = false
    this.#pieces = []
    this.#size = 0
    this.#flow()
  }

  /** The bytes that have come; null: none. */
  next(): Uint8Array | null {
    const [first] = this.#pieces
    if (first === undefined) return null
    const all = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces, this.#size)
    this.#pieces = []
    this.#size = 0
    this.#flow()
    return all
  }

  more(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }

  async leave(op: EngineOp): Promise<void> {
    this.stop()
    if (op.transaction === null) op.abandon({ kind: 'aborted', outcome: 'unknown' })
    await this.#end
  }

  #flow(): void {
    if (!this.#paused || this.#size > fewBytes) return
    this.#paused = false
    this.#valve?.resume()
  }
}
