// One worker, and the calls that wait for it: the thread sleeps until the worker has answered, has ended, or the time is up.
import { type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { captureStack, SyncTimeoutError, SyncWorkerError, UsageError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'
import { type Answer, Cell, fromData, type Request, type Work, type WorkerStart } from './envelope.ts'

/** The longest sleep: the end of a worker that could not say so is noticed after it. */
const sliceMs = 500
const closeMs = 5_000

export class Bridge {
  readonly #memory: Int32Array<SharedArrayBuffer>
  readonly #worker: Worker
  readonly #port: MessagePort
  #calls = 0
  #closed = false

  constructor(source: unknown, setup: string | null) {
    const memory = new SharedArrayBuffer(8)
    this.#memory = new Int32Array(memory)
    const { port1, port2 } = new MessageChannel()
    const start: WorkerStart = { memory, source, setup }
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      name: 'genever/sync',
      workerData: { ...start, port: port2 },
      transferList: [port2 as never],
    })
    this.#port = port1
    this.#worker.on('error', () => {})
    this.#worker.unref()
    this.#port.unref()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Whether the worker has ended. */
  get ended(): boolean {
    return Atomics.load(this.#memory, Cell.ended) !== 0
  }

  /**
   * @throws {SyncTimeoutError} when there was no answer in time; the bridge stays usable, a late answer is dropped.
   * @throws {SyncWorkerError} when the worker has ended.
   * @throws {UsageError} when the work cannot be cloned, or the bridge was closed.
   */
  call(work: Work, settings: Request['settings'], timeoutMs: number): unknown {
    if (this.#closed) throw new UsageError('This sync database was closed. Open another one by openSync().')
    const id = ++this.#calls
    this.#post({ id, work, settings })
    const answer = this.#wait(id, timeoutMs)
    if (answer.error !== undefined) throw shownHere(fromData(answer.error))
    return answer.value
  }

  /** Lets the worker close its connections and ends it. Idempotent, never throws. */
  close(): void {
    if (this.#closed) return
    try {
      this.call({ kind: 'close' }, null, closeMs)
    } catch {
      // It has ended already, or is ended now.
    }
    this.#closed = true
    this.#port.close()
    void this.#worker.terminate()
  }

  #post(request: Request): void {
    try {
      this.#port.postMessage(request)
    } catch (cause) {
      throw new UsageError(
        'A parameter or argument cannot be sent to the worker: it cannot be cloned, for example because it is a function.',
        {
          cause,
        },
      )
    }
  }

  #wait(id: number, timeoutMs: number): Answer {
    const deadline = clock.now() + timeoutMs
    for (;;) {
      // Read before the port is looked at: an answer that comes in between wakes the sleep at once.
      const answers = Atomics.load(this.#memory, Cell.answers)
      const ended = Atomics.load(this.#memory, Cell.ended) !== 0
      const answer = this.#take(id)
      if (answer !== null) return answer
      if (ended)
        throw new SyncWorkerError(
          'The worker of genever/sync has ended, so its answer will not come. Open another one.',
        )
      const leftMs = deadline - clock.now()
      if (leftMs <= 0)
        throw new SyncTimeoutError(
          `There was no answer within ${timeoutMs} ms. The work goes on in the worker, and its answer will be dropped.`,
        )
      Atomics.wait(this.#memory, Cell.answers, answers, Math.min(leftMs, sliceMs))
    }
  }

  /** The answer to that call; answers to earlier calls, which nobody waits for any more, are dropped. */
  #take(id: number): Answer | null {
    for (;;) {
      const received: { readonly message: Answer } | undefined = receiveMessageOnPort(this.#port)
      if (received === undefined) return null
      if (received.message.id === id) return received.message
    }
  }
}

/** Adds the lines of this thread's stack: those of the worker do not say who called. */
function shownHere(error: Error): Error {
  const here: { stack?: string } = {}
  captureStack(here, shownHere)
  const lines = here.stack?.split('\n').slice(2).join('\n') ?? ''
  if (error.stack !== undefined && lines !== '') error.stack = `${error.stack}\n    in the worker, called\n${lines}`
  return error
}
