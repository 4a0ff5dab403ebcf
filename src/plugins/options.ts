// The options of a plug-in, checked and completed once, before the first request. Those of the engine are checked where
// the engine's always are; here only what concerns requests, and the flat names.
import { drivers } from '../driver/registry.ts'
import type { EngineOptions, EngineSource } from '../engine/open/create-engine.ts'
import type { Settings } from '../engine/context/frame.ts'
import { transactionChecks, type TransactionOptions, transactionOptions } from '../engine/transaction/options.ts'
import { GeneverError, InvalidOptionError, type OptionProblem } from '../errors/index.ts'
import { resolveOptions, type ResolvedOptions } from '../options/options.ts'
import { type FlatOptions, flatNames, nest } from './flat-names.ts'
import { anyLogger, type PluginLogger } from './log.ts'
import { bare, describeType, isPlain, noOptions } from '../util/options.ts'

const notOfRequests = ['retry', 'reuse', 'lazy', 'on'] as const

/** Options of the transaction around a request. It cannot be run again, and it never joins another. */
export type RequestTransactionOptions = Omit<TransactionOptions, (typeof notOfRequests)[number]>

const transactionNames: readonly string[] = Object.keys(transactionChecks).filter(
  (name) => !(notOfRequests as readonly string[]).includes(name),
)

/**
 * Options of a plug-in. If an option says which database (the flat names of `FlatOptions` count too), the plug-in binds an
 * unbound `db` to it at the start. Otherwise it opens the `db` as it is.
 *
 * @typeParam R The object that the framework passes to its handlers: the request, or its context.
 */
export interface PluginOptions<R = unknown> extends Omit<EngineOptions, 'retry'>, FlatOptions {
  /** The database, for a `db` that has none: a URL, or a function that returns one and is called at the start. Flat: `dsn`. */
  readonly url?: string | URL | (() => string | URL | Promise<string | URL>) | undefined
  /** Further attempts when the database cannot be reached at the start. */
  readonly retry?:
    | {
        /** Further attempts after the first: 0 is one attempt in all, 1 (the default) two, 2 three; `Infinity`: for ever. */
        readonly limit?: number | undefined
        /** The pause before each of them. Default 1_000. */
        readonly intervalMs?: number | undefined
      }
    | undefined
  /** The name of the connection on a request. Default `db`. */
  readonly as?: string | undefined
  /** False: no connection for each request, only start and shutdown. Default true. Flat: `useConnectionForRequest`. */
  readonly connectionForRequest?: boolean | undefined
  /** True: every request runs in a transaction. An object has options for it. Default false. A route can override it. */
  readonly transaction?: boolean | RequestTransactionOptions | undefined
  /**
   * How a handler's statements go on when the client leaves before the answer. `continue` (the default): they run on.
   * `cancel`: the statement that runs on the request's connection is aborted, and later ones are refused with
   * `AbortedError`.
   */
  readonly onAbort?: 'continue' | 'cancel' | undefined
  /** Session settings for all statements of a request, such as its tenant: see `settings` of `scope()`. */
  readonly settingsForRequest?: ((request: R) => Settings | undefined) | undefined
  /**
   * The tenant of a request, for a `db` whose registry has `tenancy`. All that the request does is done there. Null: no
   * tenant, on purpose. Undefined and an unknown tenant are answered with status 400.
   */
  readonly tenantForRequest?: ((request: R) => unknown) | undefined
  /**
   * True: a request keeps its connection from its first statement to its end. Default false: while the request waits for
   * something else, others who wait for a connection get it. Its next statement then borrows again. See `hold` of `scope()`.
   */
  readonly holdForRequest?: boolean | undefined
  /**
   * True: the server shows behind the text of each statement of a request which route it comes from:
   * `/*method='GET',route='%2Fusers%2F%3Aid'*\/`. Default false. See `query.tags` of the engine.
   */
  readonly tagRoutes?: boolean | undefined
  /** Default: the framework's logger if it has one, else standard error. False: silence. */
  readonly log?: PluginLogger | false | undefined
}

export interface ResolvedPluginOptions<R> {
  /** The source to bind the `db` to. Null: the `db` is opened as it is. */
  readonly source: EngineSource | null
  readonly engine: EngineOptions | undefined
  readonly retry: { readonly limit: number; readonly intervalMs: number }
  readonly as: string
  readonly connectionForRequest: boolean
  readonly transaction: RequestTransactionOptions | null
  readonly onAbort: 'continue' | 'cancel'
  readonly settingsForRequest: ((request: R) => Settings | undefined) | undefined
  readonly tenantForRequest: ((request: R) => unknown) | undefined
  readonly holdForRequest: boolean
  readonly tagRoutes: boolean
  readonly log: PluginLogger | false | undefined
  readonly closeTimeoutMs: number | undefined
}

const own = [
  'as',
  'connectionForRequest',
  'transaction',
  'onAbort',
  'settingsForRequest',
  'tenantForRequest',
  'holdForRequest',
  'tagRoutes',
  'log',
  'url',
] as const

type Own = { -readonly [K in (typeof own)[number]]?: unknown }

/**
 * Checks options by either kind of name and fills in defaults. The defaults of the database's parts are GINO's.
 * @throws {InvalidOptionError} naming, in one error, every option that is unknown, wrong, or given by both names.
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
    tenantForRequest: given.tenantForRequest,
    holdForRequest: mine.holdForRequest === true,
    tagRoutes: mine.tagRoutes === true,
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
    throw new InvalidOptionError('The options of the plug-in cannot be read: reading them throws.', { cause })
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
  const embedded = engine.directory !== undefined || engine.memory !== undefined
  const driver = typeof engine.driver === 'string' ? drivers.byName(engine.driver) : drivers.all[0]
  if (embedded || (engine.driver !== undefined && typeof engine.driver !== 'string')) return engine
  return { ...engine, database: engine.database ?? driver?.defaults.maintenance }
}

function checkEngine(
  url: string | undefined,
  engine: EngineOptions,
  problems: OptionProblem[],
  spelled: ReadonlyMap<string, string>,
): ResolvedOptions | null {
  try {
    return resolveOptions<never>(url, engine)
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error
    for (const { name, problem } of error.options)
      problems.push({
        name: spelled.get(name) ?? name,
        problem: problem.replace(/^is not an option\b.*/, () => `is not an option${known}`),
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
  check('tagRoutes', (value) => typeof value === 'boolean', 'true or false')
  check('onAbort', (value) => value === 'continue' || value === 'cancel', "'continue' or 'cancel'")
  check('settingsForRequest', isFunction, 'a function')
  check('tenantForRequest', isFunction, 'a function')
  if (mine.tenantForRequest !== undefined && mine.connectionForRequest === false)
    problems.push({
      name: 'tenantForRequest',
      problem: 'needs a connection for each request, and connectionForRequest is false',
    })
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
  for (const name of Object.keys(value))
    if (!transactionNames.includes(name))
      problems.push({
        name: `transaction.${name}`,
        problem: `is not an option of a request's transaction (there are ${transactionNames.join(', ')})`,
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
