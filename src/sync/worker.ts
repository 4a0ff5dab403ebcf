// The worker of `genever/sync`: has a database of its own, and runs what the waiting thread asks for, one at a time or several.
// Loaded as a worker only.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { createDb, Db } from '../db/db.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { NotBoundError, UsageError } from '../errors/index.ts'
import type { Params } from '../sql/statement.ts'
import { type Answer, Cell, type Request, toData, type Work, type WorkerStart } from './envelope.ts'
import { markWorker } from './place.ts'

interface Start extends WorkerStart {
  readonly port: MessagePort
}

const closeMs = 2_000

class Service {
  readonly #port: MessagePort
  readonly #memory: Int32Array
  readonly #setup: string | null
  readonly #source: unknown
  #db: Promise<Db> | null = null

  constructor({ port, memory, setup, source }: Start) {
    this.#port = port
    this.#memory = new Int32Array(memory)
    this.#setup = setup
    this.#source = source
  }

  listen(): void {
    process.on('exit', () => {
      Atomics.store(this.#memory, Cell.ended, 1)
      this.#wake()
    })
    this.#port.on('message', (request: Request) => void this.#serve(request))
  }

  async #serve({ id, work, settings }: Request): Promise<void> {
    let answer: Answer
    try {
      answer = { id, value: await this.#run(work, settings) }
    } catch (thrown) {
      answer = { id, error: toData(thrown) }
    }
    try {
      this.#port.postMessage(answer)
    } catch (cause) {
      const error = new UsageError(
        'The result cannot be sent back: it cannot be cloned, for example because it holds a function.',
        {
          cause,
        },
      )
      this.#port.postMessage({ id, error: toData(error) } satisfies Answer)
    }
    this.#wake()
    if (work.kind === 'close') process.exit()
  }

  async #run(work: Work, settings: Request['settings']): Promise<unknown> {
    if (work.kind === 'close') return (await this.#db)?.close({ timeoutMs: closeMs }).then(() => undefined)
    if (work.kind === 'query') {
      const db = await this.#open()
      return within(db, settings, () => this.#query(db, work))
    }
    const module = (await import(work.module)) as Readonly<Record<string, unknown>>
    const { db: own, [work.name]: called } = module
    if (typeof called !== 'function')
      throw new UsageError(
        `The module exports no function ${JSON.stringify(work.name)}. Export it there, or correct the name.`,
      )
    const call = async (): Promise<unknown> => (called as (...args: unknown[]) => unknown)(...work.args)
    const theirs = own instanceof Db ? own : null
    if (theirs !== null && !isUnbound(theirs)) return within(theirs, settings, call)
    if (this.#source === null) return call()
    const db = await this.#open()
    if (theirs === null) return within(db, settings, call)
    return theirs.withBind(await db.engineHere(), () => within(theirs, settings, call))
  }

  async #query(db: Db, { method, text, params }: Extract<Work, { kind: 'query' }>): Promise<unknown> {
    const given = params as Params | undefined
    switch (method) {
      case 'all':
        return db.all(text, given)
      case 'first':
        return db.first(text, given)
      case 'one':
        return db.one(text, given)
      case 'oneOrNone':
        return db.oneOrNone(text, given)
      case 'scalar':
        return db.scalar(text, given)
      case 'status': {
        const { command, rowCount } = await db.status(text, given)
        return { command, rowCount }
      }
    }
  }

  #open(): Promise<Db> {
    this.#db ??= this.#make()
    return this.#db
  }

  async #make(): Promise<Db> {
    const more = this.#setup === null ? {} : ((await import(this.#setup)) as { readonly options?: EngineOptions })
    return createDb(this.#source as EngineOptions, more.options)
  }

  #wake(): void {
    Atomics.add(this.#memory, Cell.answers, 1)
    Atomics.notify(this.#memory, Cell.answers)
  }
}

function isUnbound(db: Db): boolean {
  try {
    // Opening it may fail: the work says so.
    void Promise.resolve(db.engineHere()).catch(() => {})
    return false
  } catch (error) {
    if (error instanceof NotBoundError) return true
    throw error
  }
}

function within<T>(db: Db, settings: Request['settings'], work: () => Promise<T>): Promise<T> {
  return settings === null ? work() : db.scope(work, { settings })
}

if (parentPort !== null) {
  markWorker()
  new Service(workerData as Start).listen()
}
