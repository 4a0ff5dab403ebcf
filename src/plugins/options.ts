// The options of a plug-in, checked and completed once, before the first request. Those of the engine are checked where
// the engine's always are; here only what concerns requests, and the flat names.
import type { EngineOptions, EngineSource } from '../engine/open/create-engine.ts'
import type { Settings } from '../engine/context/frame.ts'
import { type TransactionOptions, transactionOptions } from '../engine/transaction-options.ts'
import { GeneverError, InvalidOptionError, type OptionProblem } from '../errors/index.ts'
import { resolveOptions } from '../options/options.ts'
import { type FlatOptions, flatNames, nest } from './flat-names.ts'
import { anyLogger, type PluginLogger } from './log.ts'
import { bare, describeType, isPlain } from '../util/checks.ts'
import { noOptions } from '../util/options.ts'

/** Options of the transaction around a request; it cannot be run again, and it never joins another. */
export type RequestTransactionOptions = Omit<TransactionOptions, 'retry' | 'reuse' | 'lazy' | 'on'>

/**
 * Options of a plug-in. With any option that says which database (or with the flat names of `FlatOptions`), the plug-in
 * binds an unbound `db` to it at the start; without, it opens the `db` as it is.
 *
 * @typeParam R What the framework hands its handlers: the request, or its context.
 */
export interface PluginOptions<R = unknown> extends Omit<EngineOptions, 'retry'>, FlatOptions {
  /** The database, for a `db` that has none: a URL, or a function giving one, asked at the start. Flat: `dsn`. */
  readonly url?: string | URL | (() => string | URL | Promise<string | URL>) | undefined
  /** When the database cannot be reached at the start. */
  readonly retry?:
    | {
        /** Further attempts after the first: 0 is one attempt in all, 1 (the default) two, 2 three; `Infinity`: for ever. */
        readonly limit?: number | undefined
        /** The pause before each of them. Default 1_000. */
        readonly intervalMs?: number | undefined
      }
    | undefined
  /** What the connection is called on a request. Default `db`. */
  readonly as?: string | undefined
  /** False: no connection for each request, only start and shutdown. Default true. Flat: `useConnectionForRequest`. */
  readonly connectionForRequest?: boolean | undefined
  /** Every request in a transaction, or options for it; default false. Routes may say otherwise. */
  readonly transaction?: boolean | RequestTransactionOptions | undefined
  /**
   * What happens to a handler's statements when the client leaves before the answer: `continue` (the default) or `cancel`,
   * which aborts what runs on the request's connection and refuses what comes later with `AbortedError`.
   */
  readonly onAbort?: 'continue' | 'cancel' | undefined
  /** Session settings for all statements of a request, such as its tenant: see `settings` of `scope()`. */
  readonly settingsForRequest?: ((request: R) => Settings | undefined) | undefined
  /**
   * True: a request keeps its connection from its first statement to its end. Default false: while it waits for something
   * else and others wait for a connection, they get it, and its next statement borrows again. See `hold` of `scope()`.
   */
  readonly holdForRequest?: boolean | undefined
  /** Default: the framework's logger if it has one, else standard error. False: silence. */
  readonly log?: PluginLogger | false | undefined
}

export interface ResolvedPluginOptions<R> {
  /** What to bind the `db` to; null: it is opened as it is. */
  readonly source: EngineSource | null
  readonly engine: EngineOptions | undefined
  readonly retry: { readonly limit: number; readonly intervalMs: number }
  readonly as: string
  readonly connectionForRequest: boolean
  readonly transaction: RequestTransactionOptions | null
  readonly onAbort: 'continue' | 'cancel'
  readonly settingsForRequest: ((request: R) => Settings | undefined) | undefined
  readonly holdForRequest: boolean
  readonly log: PluginLogger | false | undefined
  readonly closeTimeoutMs: number | undefined
}

const own = [
  'as',
  'connectionForRequest',
  'transaction',
  'onAbort',
  'settingsForRequest',
  'holdForRequest',
  'log',
  'url',
] as const

type Own = { -readonly [K in (typeof own)[number]]?: unknown }

/**
 * Checks options by either kind of name and fills in defaults; those of the database's parts are GINO's.
 * @throws {InvalidOptionError} naming, together, every option that is unknown, wrong, or given by both names.
 * @throws {InvalidUrlError} when the URL is not understood.
 */
export function resolvePluginOptions<R>(said?: PluginOptions<R>): ResolvedPluginOptions<R> {
  const problems: OptionProblem[] = []
  const given = ownMembers<PluginOptions<R>>(said)
  const { options, spelled } = nest(given as Readonly<Record<string, unknown>>, problems)
  const mine: Own = bare<Own>()
  for (const name of own) {
    mine[name] = options[name]
    delete options[name]
  }
  checkOwn(mine, problems, spelled)
  const url = mine.url as PluginOptions['url']
  const { retry, closeTimeoutMs, ...rest } = options as EngineOptions
  const names = Object.keys(rest).length > 0
  const engine = names ? (url === undefined ? withParts(rest) : rest) : undefined
  const text = typeof url === 'string' ? url : url instanceof URL ? url.href : undefined
  const checked = checkEngine(text, { ...engine, retry, closeTimeoutMs }, problems, spelled)
  if (problems.length > 0) throw refusal(problems)
  return Object.freeze<ResolvedPluginOptions<R>>({
    source: url ?? engine ?? null,
    engine: url === undefined ? undefined : engine,
    retry: { limit: retry?.limit ?? 1, intervalMs: checked?.retry.intervalMs ?? 1000 },
    as: (mine.as as string | undefined) ?? 'db',
    connectionForRequest: mine.connectionForRequest !== false,
    transaction: transactionOf(mine.transaction as PluginOptions['transaction']),
    onAbort: mine.onAbort === 'cancel' ? 'cancel' : 'continue',
    settingsForRequest: given.settingsForRequest,
    holdForRequest: mine.holdForRequest === true,
    log: given.log,
    closeTimeoutMs,
  })
}

/** A copy: members of a prototype are no options, and a getter is read once. */
function ownMembers<T extends object>(given: unknown): T {
  if (given === undefined) return bare<T>()
  try {
    if (isPlain(given)) return bare<T>(given as T)
  } catch (cause) {
    throw new InvalidOptionError('The options of the plug-in cannot be read: looking at them throws.', { cause })
  }
  throw refusal([{ name: 'options', problem: `must be a plain object, not ${describeType(given)}` }])
}

/** Options of a request's transaction, or null for none. @throws {InvalidOptionError} for what cannot be asked of one. */
export function transactionOf(
  given: boolean | RequestTransactionOptions | undefined,
): RequestTransactionOptions | null {
  if (given === undefined || given === false) return null
  if (given === true) return noOptions
  const problems: OptionProblem[] = []
  checkTransaction(given, problems)
  if (problems.length > 0) throw refusal(problems)
  return transactionOptions(given, 'a request')
}

/** GINO's default for the name of the database; the others are the engine's too. */
function withParts(engine: EngineOptions): EngineOptions {
  const embedded = engine.directory !== undefined || engine.memory !== undefined || engine.driver === 'pglite'
  const foreign = typeof engine.driver === 'object' || typeof engine.driver === 'function'
  return embedded || foreign ? engine : { ...engine, database: engine.database ?? 'postgres' }
}

function checkEngine(
  url: string | undefined,
  engine: EngineOptions,
  problems: OptionProblem[],
  spelled: ReadonlyMap<string, string>,
): ReturnType<typeof resolveOptions> | null {
  try {
    return resolveOptions(url, engine)
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error
    for (const { name, problem } of error.options)
      problems.push({
        name: spelled.get(name) ?? name,
        problem: problem.replace(/^(is not an option)\b.*/, `$1${known}`),
      })
    return null
  }
}

const known = ` of a plug-in or of the engine (of plug-ins: ${[...own, ...flatNames].join(', ')})`

function checkOwn(mine: Own, problems: OptionProblem[], spelled: ReadonlyMap<string, string>): void {
  const check = (name: keyof Own, fits: (value: unknown) => boolean, wanted: string): void => {
    const value = mine[name]
    if (value !== undefined && !fits(value))
      problems.push({ name: spelled.get(name) ?? name, problem: `must be ${wanted}` })
  }
  const isFunction = (value: unknown): boolean => typeof value === 'function'
  const isUrl = (value: unknown): boolean => typeof value === 'string' || value instanceof URL || isFunction(value)
  check(
    'as',
    (value) => typeof value === 'string' && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(value),
    'a name for a property',
  )
  check('connectionForRequest', (value) => typeof value === 'boolean', 'true or false')
  check('holdForRequest', (value) => typeof value === 'boolean', 'true or false')
  check('onAbort', (value) => value === 'continue' || value === 'cancel', "'continue' or 'cancel'")
  check('settingsForRequest', isFunction, 'a function')
  check('url', isUrl, 'a URL or a function giving one')
  check('log', (value) => anyLogger(value) === undefined, 'false or an object with info, warn and error')
  if (mine.transaction !== undefined) checkTransaction(mine.transaction, problems)
}

function checkTransaction(value: unknown, problems: OptionProblem[]): void {
  if (typeof value === 'boolean') return
  if (!isPlain(value)) {
    problems.push({ name: 'transaction', problem: 'must be true, false or options of a transaction' })
    return
  }
  const names = ['isolation', 'readOnly', 'deferrable', 'timeoutMs', 'signal', 'query']
  for (const name of Object.keys(value))
    if (!names.includes(name))
      problems.push({
        name: `transaction.${name}`,
        problem: `is not an option of a request's transaction (there are ${names.join(', ')})`,
      })
  try {
    transactionOptions(value, 'a request')
  } catch (error) {
    if (!(error instanceof GeneverError)) throw error
    problems.push({ name: 'transaction', problem: `cannot be used: ${error.message}` })
  }
}

function refusal(problems: readonly OptionProblem[]): InvalidOptionError {
  const list = problems.map(({ name, problem }) => `${JSON.stringify(name.slice(0, 60))} ${problem}`).join('; ')
  return new InvalidOptionError(`The options of the plug-in cannot be used: ${list}.`, { options: problems })
}
