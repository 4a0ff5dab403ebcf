// A database for code that cannot await: the public side of the bridge.
import type { EngineOptions } from '../engine/open/create-engine.ts'
import type { Row } from '../engine/query/executor.ts'
import { UsageError } from '../errors/index.ts'
import type { Params } from '../sql/statement.ts'
import { type Check, describeType, must, mustBeNumber, readOptions } from '../util/options.ts'
import { Printable } from '../util/thrown.ts'
import { longestTimerMs } from '../util/clock.ts'
import { Bridge } from './bridge.ts'
import type { SyncMethod } from './envelope.ts'
import { settingsForCall } from './place.ts'

/** Options of `openSync()` and `runSync()`. */
export interface SyncOptions {
  /** How long a call may take, opening included. Default 30_000. */
  readonly timeoutMs?: number | undefined
  /**
   * A module that the worker loads first. Its export `options` adds options of the database that cannot be sent to a worker:
   * `onConnect`, a function for the password.
   */
  readonly setup?: URL | undefined
}

// oxlint-disable-next-line typescript/no-explicit-any -- functions of any kind are called
type AnyFunction = (...args: any[]) => unknown

/** The functions of a module. Each returns the value that its promise would resolve to. */
export type SyncModule<M> = {
  readonly [K in keyof M as M[K] extends AnyFunction ? K : never]: M[K] extends (...args: infer A) => infer R
    ? (...args: A) => Awaited<R>
    : never
}

const defaultMs = 30_000

const optionChecks = {
  timeoutMs: mustBeNumber(
    `milliseconds from 1 to ${longestTimerMs}`,
    (value) => typeof value === 'number' && value >= 1 && value <= longestTimerMs,
  ),
  setup: must('the URL of a module', (value) => value instanceof URL),
} satisfies Record<keyof SyncOptions, Check>

/**
 * A database whose methods block the thread until the answer is there. Made by `openSync`.
 *
 * Each call is one statement, which ends before the call returns. For transactions and models, use functions of a module.
 * Settings of the scope around a call are sent with it.
 *
 * Every method throws the error that the async one would reject with, and:
 *
 * - `SyncTimeoutError` after `timeoutMs`. The bridge stays usable, and the work goes on in the worker.
 * - `SyncWorkerError` when the worker has ended. If a worker runs out of memory it cannot report that, so the call ends with
 *   the timeout.
 * - `UsageError` inside of an open transaction, in the worker itself, and for values that cannot be cloned.
 */
export class SyncDb extends Printable implements Disposable {
  readonly #bridge: Bridge
  readonly #timeoutMs: number

  /** @internal */
  constructor(bridge: Bridge, timeoutMs: number) {
    super()
    this.#bridge = bridge
    this.#timeoutMs = timeoutMs
  }

  /** Every row. */
  all<R = Row>(text: string, params?: Params): R[] {
    return this.#query('all', text, params) as R[]
  }

  /** The first row, or undefined. */
  first<R = Row>(text: string, params?: Params): R | undefined {
    return this.#query('first', text, params) as R | undefined
  }

  /** @throws {NoResultError} when there is no row, {MultipleResultsError} when there are several. */
  one<R = Row>(text: string, params?: Params): R {
    return this.#query('one', text, params) as R
  }

  /** @throws {MultipleResultsError} when there are several rows. */
  oneOrNone<R = Row>(text: string, params?: Params): R | undefined {
    return this.#query('oneOrNone', text, params) as R | undefined
  }

  /** The first column of the first row; `undefined` without a row. */
  scalar<V = unknown>(text: string, params?: Params): V | undefined {
    return this.#query('scalar', text, params) as V | undefined
  }

  /** The command and the count of rows. */
  status(text: string, params?: Params): { readonly command: string; readonly rowCount: number | null } {
    return this.#query('status', text, params) as { readonly command: string; readonly rowCount: number | null }
  }

  /**
   * The functions of a module, which run in the worker. If the module exports an unbound `db`, that has this database there.
   * If it exports its own database, it uses that. Arguments and results are cloned, so functions and class instances cannot
   * be passed.
   *
   * @example
   * const jobs = sync.module<typeof import('./jobs.ts')>(new URL('./jobs.ts', import.meta.url))
   * const count = jobs.countUsers('acme')
   */
  module<M>(url: URL): SyncModule<M> {
    return moduleOn(this.#bridge, url, this.#timeoutMs)
  }

  /** Closes the connections and ends the worker. Idempotent. */
  close(): void {
    this.#bridge.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  override toString(): string {
    return `SyncDb { ${this.#bridge.closed ? 'closed' : 'open'} }`
  }

  #query(method: SyncMethod, text: string, params: Params | undefined): unknown {
    if (typeof text !== 'string')
      throw new UsageError(
        `sync.${method}() takes SQL as a string, not ${describeType(text)}. Built queries belong into a function of a module.`,
      )
    const settings = settingsForCall(`sync.${method}()`)
    return this.#bridge.call({ kind: 'query', method, text, params }, settings, this.#timeoutMs)
  }
}

/**
 * Opens a database in a separate worker, for code that cannot await: configuration loaders, code generators, REPLs. Nothing
 * is connected before the first call. `using sync = openSync(url)` closes it at the end of the block. The worker does not
 * keep the process alive.
 *
 * @throws {UsageError} when an option cannot be sent to a worker, such as a function (see `setup`).
 * @throws {InvalidOptionError} when an option of this call is wrong.
 */
export function openSync(source: string | URL | EngineOptions, options: SyncOptions = {}): SyncDb {
  const { timeoutMs = defaultMs, setup } = readOptions<SyncOptions>(options, optionChecks, 'openSync()')
  settingsForCall('openSync()')
  if (source === undefined || source === null)
    throw new UsageError('openSync() needs a URL or options of a database. Is the environment variable set?')
  const sent: unknown = source instanceof URL ? source.href : source
  try {
    structuredClone(sent)
  } catch (cause) {
    throw new UsageError(
      'The options of openSync() cannot be sent to a worker: they hold a function. Export them as "options" of a module, and give ' +
        'its URL as the option setup.',
      { cause },
    )
  }
  return new SyncDb(new Bridge(sent, setup?.href ?? null), timeoutMs)
}

let kept: Bridge | undefined

/**
 * Runs one function of a module in a worker that is kept for the process. The module uses its own database.
 *
 * @example
 * const count = runSync<typeof import('./jobs.ts'), 'countUsers'>(new URL('./jobs.ts', import.meta.url), 'countUsers', ['acme'])
 * @throws the errors of the methods of `SyncDb`.
 */
export function runSync<M, const K extends keyof SyncModule<M> & string>(
  url: URL,
  name: K,
  args: SyncModule<M>[K] extends (...given: infer A) => unknown ? A : never,
  options: Pick<SyncOptions, 'timeoutMs'> = {},
): SyncModule<M>[K] extends (...given: never[]) => infer R ? R : never {
  const { timeoutMs = defaultMs } = readOptions<Pick<SyncOptions, 'timeoutMs'>>(
    options,
    { timeoutMs: optionChecks.timeoutMs },
    'runSync()',
  )
  settingsForCall('runSync()')
  if (kept === undefined || kept.ended) kept = new Bridge(null, null)
  const module = moduleOn<Record<string, AnyFunction>>(kept, url, timeoutMs)
  return module[name]?.(...(args as unknown[])) as never
}

function moduleOn<M>(bridge: Bridge, url: URL, timeoutMs: number): SyncModule<M> {
  if (!(url instanceof URL))
    throw new UsageError(
      `module() takes the URL of a module, not ${describeType(url)}: new URL('./jobs.js', import.meta.url)`,
    )
  const functions = new Map<string, AnyFunction>()
  return new Proxy(Object.create(null) as object, {
    get(_target, name) {
      // An object with `then` would be awaited.
      if (typeof name !== 'string' || name === 'then') return undefined
      let call = functions.get(name)
      if (call === undefined) {
        call = (...args) =>
          bridge.call({ kind: 'call', module: url.href, name, args }, settingsForCall(`${name}()`), timeoutMs)
        functions.set(name, call)
      }
      return call
    },
  }) as SyncModule<M>
}
