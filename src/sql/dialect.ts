// The SQL of a family of databases, for all layers above: how texts are read, which statements the engine writes itself, and the
// meaning of answers. It has words and meanings only: the engine decides when something is sent, and a driver promises what depends
// on a client library. It runs nothing and keeps nothing. Members are asked once for each text, never for each call.
import type { ErrorFields } from '../errors/index.ts'
import { UsageError } from '../errors/index.ts'
import type { FunctionDialect } from './functions.ts'
import type { ErrorKind, Meaning } from './meaning.ts'
import type { ModelWords } from './model-words.ts'
import type { Control, StatementClass } from './compiled.ts'
import { describeType } from '../util/options.ts'

const levels = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const
/** An isolation level of SQL, in lower case with spaces. */
export type IsolationLevel = (typeof levels)[number]

export const isolationLevels: readonly IsolationLevel[] = levels

export interface BeginOptions {
  /** Spelled as by `parseIsolation`; without it the server's default stands. */
  readonly isolation?: string | undefined
  readonly readOnly?: boolean | undefined
  /** Waits for a snapshot that cannot fail; has an effect only with `serializable` and `readOnly`. */
  readonly deferrable?: boolean | undefined
}

/** The result of one scan of a text. */
export interface Classified {
  readonly cls: StatementClass
  /** First keyword of the first statement in upper case, `''` when there is none. */
  readonly verb: string
  readonly dirties: number
  readonly pins: number
  readonly names: number
  readonly hasControl: boolean
  /** The effect of its first statement on the transaction. */
  readonly control: Control | null
  /** It may leave something in the session that its text does not show: it calls an unknown function, or may do anything. */
  readonly leaves: boolean
  /** One read that may run on any connection with the same settings: it changes nothing and asks nothing of its session. */
  readonly plain: boolean
  /** The server plans it, so preparing it saves time. */
  readonly preparable: boolean
  /** Statements that are not empty. */
  readonly statements: number
  /** How many values its placeholders need, as far as they are positional. */
  readonly parameters: number
  /** Every placeholder stands for a value. False in the body of a function, or after PREPARE or EXPLAIN: there it may be meant as it is. */
  readonly valued: boolean
  /** Whether a `:name` occurs. */
  readonly named: boolean
}

/** A text cut at its placeholders. */
export interface Cut {
  readonly texts: readonly string[]
  /** Where each placeholder stands in the text. */
  readonly offsets: readonly number[]
  /** For each placeholder the index of its value, from 0. */
  readonly uses: readonly number[]
  /** The name of each `:name`; empty without any. Their texts and places are among the others. */
  readonly names: readonly string[]
  /** It leaves a quote or a comment open. */
  readonly unterminated: boolean
  /** It ends in a comment that only a line break ends. */
  readonly commented: boolean
}

export interface Opening {
  readonly before: readonly string[]
  readonly begin: string
  readonly abandon: string | null
}

export interface Placeholders {
  /** One value may be used at several places (`$1 … $1`). False: each use has its own value. */
  readonly numbered: boolean
  /** The placeholder of use `index`, from 0. */
  text(index: number): string
  /** The most values of a statement. */
  readonly most: number
  /** Advice for more than that, after "send them in batches"; `''` for none. */
  readonly insteadOfMore: string
}

/** The statements of a part of a transaction. Names are as the engine makes them. */
export interface SavepointWords {
  set(name: string): string
  release(name: string): string
  back(name: string): string
}

/** Those of the SQL standard. */
export function savepointWords(quote: (name: string) => string): SavepointWords {
  return {
    set: (name) => `SAVEPOINT ${quote(name)}`,
    release: (name) => `RELEASE SAVEPOINT ${quote(name)}`,
    back: (name) => `ROLLBACK TO SAVEPOINT ${quote(name)}`,
  }
}

/** Why a name is wrong on any database, as a clause that follows it; undefined: it is not. */
export function nameProblem(name: unknown): string | undefined {
  if (typeof name !== 'string') return `is ${describeType(name)}, not a string`
  if (name === '') return 'is empty'
  return name.includes('\0') ? 'holds a NUL character' : undefined
}

/** A text with the placeholders of its database, and a value for each of them. */
export interface TextWithParams {
  readonly sql: string
  readonly params: readonly unknown[]
}

/** The settings of a session: those of scopes, of the engine, and of texts. */
export interface SettingWords {
  /**
   * Sets one for each own entry, until the end of the session or of the transaction.
   *
   * @throws {UsageError} for a name that no setting can have, or a value that is not a string, number or boolean.
   */
  set(settings: Readonly<Record<string, string | number | boolean>>, until: 'session' | 'transaction'): TextWithParams
  /** Gives a setting the value that it had when the session began, until the end of the session or of the transaction. */
  takeBack(name: string, until: 'session' | 'transaction'): string
  /**
   * `plain`: it takes effect at once, so it may be set in front of a statement in one unit. It does nothing by itself, so it may stay
   * in an idle session until the next user changes it. `lasting`: it acts on an idle session, or on the statement that takes it back.
   * `beginning`: as `lasting`, and it acts on transactions that begin later.
   */
  kind(name: string): 'plain' | 'lasting' | 'beginning'
  /** Whether a rollback, also to a savepoint, takes back what was set since. Absent: nobody knows what it leaves. */
  readonly undone?: boolean
  /** Those that need a statement for each alone. All others can be set by one. */
  readonly alone: ReadonlySet<string>
  /**
   * Those that decide which others may be changed. They are taken back before others are changed, the last first, and set again
   * after them.
   */
  readonly guards: readonly string[]
  /** Sets the level of every transaction of a session; null if each transaction has to set it. */
  isolation(level: IsolationLevel): TextWithParams | null
  /** Whether the setting of this name makes the session refuse writes. */
  refusesWrites(name: string): boolean
  /** Those that a text visibly changes by name: in lower case, `*` for all. Absent: unknown. */
  changedBy?(text: string): readonly string[]
  readonly baseline: Baseline
}

/** How `iterate()` reads the rows of a statement in parts. */
export interface PartWords {
  /** First words of statements whose rows can come so. */
  readonly verbs: ReadonlySet<string>
  /**
   * Null: the rows are read while they arrive, and held back in between. The connection does nothing else until the last row has come.
   */
  readonly cursor: CursorWords | null
}

/** The statements of a cursor in SQL. */
export interface CursorWords {
  declare(name: string, query: string): string
  fetch(name: string, count: number): string
  move(name: string, count: number): string
  close(name: string): string
}

/** How the server is asked whether a transaction was committed. */
export interface OutcomeQuestion {
  /** Sent before COMMIT: gives the number of this transaction, NULL if it changed nothing. */
  readonly number: string
  /** Sent afterwards, on any connection, with that number as its parameter. */
  readonly fate: string
  read(answer: unknown): 'committed' | 'rolled_back' | 'running' | 'unknown'
}

/** How the settings of a session are remembered, so that a reset can bring them back. */
export interface Baseline {
  /** Pins of the session state that comes back with it; anything else would be lost at the first reset. */
  readonly pins: number
  /** Names in a text or a value of settings that the server does not list until they have a value. */
  unlisted(text: string): Iterable<string>
  /** Reads the settings; `unlisted` are the names that `unlisted()` found. */
  read(unlisted: readonly string[]): TextWithParams
  /** SQL without parameters that brings back the settings in the rows of `read`. */
  restore(rows: readonly Readonly<Record<string, unknown>>[]): string
}

/** Fields of a server's error by name; `code` tells errors apart. */
export type { ErrorFields, ErrorKind, Meaning }

/** The meaning of an error of which nothing is known but that its statement failed, with what differs from that. */
export function meaningOf(part: Partial<Meaning>): Meaning {
  return Object.freeze({
    kind: 'other',
    about: 'other',
    transaction: 'kept',
    retryable: false,
    health: 'well',
    opening: 'statement',
    prepared: 'well',
    following: null,
    ...part,
  })
}

/** A text, which is hashed; a whole number of 64 bits; or two of 32 bits. The three never meet. */
export type LockKey = string | number | bigint | readonly [number, number]

/** Locks whose meaning programs agree on. */
export interface LockWords {
  /** Gives one value: true, or false if an `attempt` failed. */
  take(
    key: LockKey,
    how: { readonly shared: boolean; readonly attempt: boolean; readonly until: 'work' | 'transaction' },
  ): TextWithParams
  /** Gives false where the session does not have it. */
  free(key: LockKey, shared: boolean): TextWithParams
}

/** Messages from one session to others. Names are quoted. */
export interface ChannelWords {
  listen(name: string): string
  unlisten(name: string): string
  notify(channel: string, payload: string): TextWithParams
}

/** How rows are written down. */
export interface CopyOptions {
  /** Default `text`. */
  readonly format?: 'text' | 'csv' | 'binary' | undefined
  /** Whether the first line has the names of the columns. Default false. */
  readonly header?: boolean | undefined
  /** One character between values. Default: a tab; in csv a comma. */
  readonly delimiter?: string | undefined
  /** The text for NULL. Default: `\N`; in csv an empty value without quotes. */
  readonly nullText?: string | undefined
  /** One character, for csv only. Default: a double quote. */
  readonly quote?: string | undefined
  /** One character in front of a quote in a value, for csv only. Default: the quote. */
  readonly escape?: string | undefined
}

/** Rows in bulk. */
export interface CopyWords {
  into(target: string, options: CopyOptions): string
  from(source: string, options: CopyOptions): string
  /** @throws {UsageError} for options that contradict each other. */
  check(options: CopyOptions): void
}

/** Parts of messages, where they name something that only one database has. */
export interface Advice {
  /** How to work without session state, inside a transaction and around it. */
  readonly withoutSession: string
  /** Statements that have an effect only in a transaction. */
  readonly transactionOnly: string
  /** Which state `onConnect` may set, and which it may not. */
  readonly onConnect: string
  /** The functions that ask a session for its last numbers, as the subject of a sentence; and the replacement. */
  readonly lastNumbers: string
  readonly insteadOfNumbers: string
  /** Why a statement that changes the encoding of texts does not run, and what to do; the same of one that moves their quotes. */
  readonly encoding: string
  readonly quotes: string
  /** The same of a statement that changes the time zone. Absent: dates are right in every zone. */
  readonly zone?: string | undefined
}

/** The state of one of several servers with the same data. */
export interface Standing {
  /** It takes writes. */
  readonly primary: boolean
  /** Equal for all servers that were copied from one. */
  readonly system: string
  /** Which history of the data it follows: raised whenever another server becomes the primary. 0: unknown. */
  readonly timeline: number
  /** How far it has come. */
  readonly position: bigint
}

/** Servers that follow another one, as far as SQL knows of them. */
export interface ReplicationWords {
  /** Gives one row with one column of text, for `read`. */
  readonly question: string
  /** Null: the answer is not understood. */
  read(answer: string): Standing | null
  /** Gives the position of a primary, up to which it has written, as one text. */
  readonly position: string
  /** Reads such a text; null: it is not a position. */
  readPosition(text: string): Pick<Standing, 'timeline' | 'position'> | null
  /**
   * Whether a message beside an answer says that the server gives up waiting for its replicas. Then the transaction that it is about to
   * call committed may be lost with the server.
   */
  unconfirmed(message: ErrorFields): boolean
}

/**
 * The knowledge of a database that the engine needs: its words, the reading of its texts, the meaning of its errors. It knows no driver and no
 * connection.
 */
export interface Dialect {
  /** Shown in errors. */
  readonly name: string
  /** The dialect that models, builders and migrations use for it; its own name if they do not support it yet. */
  readonly family: string
  /** OpenTelemetry's name: `db.system.name`. */
  readonly system: string
  /** For sentences: `PostgreSQL`. */
  readonly title: string
  readonly placeholder: Placeholders
  /**
   * Loads what only engines need of it: `classify`, `explain` and `message` are there from then on. Absent: all of it is there. Every
   * program loads each dialect, as the first statements may be made before anybody knows of which database.
   */
  readonly ready?: (() => Promise<void>) | undefined
  /** One linear scan of a text. It never fails, and gives the strictest answer in doubt: the server refuses a wrong text. */
  classify(text: string): Classified
  /** The text cut at its positional placeholders, or at its `:name`s. */
  cut(text: string, at: 'positional' | 'named'): Cut
  /** The effects of functions and triggers that texts do not show; null: none that stay with a session. */
  readonly functions: FunctionDialect | null
  /** Gives one number: the `Pin` bits of `askable` whose state the session still has. Null: it cannot say. */
  readonly stillHeld: string | null
  readonly commit: string
  readonly rollback: string
  /**
   * The statements that open a transaction. `before` goes in front of `begin` and holds for the next transaction of the session. If
   * `begin` fails after it, `abandon` takes it back.
   *
   * @throws {UsageError} for an unknown isolation level.
   */
  begin(options?: BeginOptions): Opening
  /** Lets the server end the current transaction and its session when it is idle for `ms` milliseconds. Null: it cannot. */
  idleLimit(ms: number): string | null
  readonly savepoint: SavepointWords
  /**
   * Quotes one name so that it can only ever be that name.
   *
   * @throws {UsageError} when it is not a string, is empty, or holds NUL or half a surrogate pair. Also when it is longer than the
   *   names that the server keeps apart.
   */
  quote(name: string): string
  readonly settings: SettingWords
  /** Whether a single statement may give several results. Absent: none does. */
  readonly severalResults?: ((compiled: Pick<Classified, 'cls' | 'dirties'>) => boolean) | undefined
  /** Null: `iterate()` is refused. */
  readonly parts: PartWords | null
  /** Null: the server cannot be asked whether a transaction was committed. */
  readonly outcome: OutcomeQuestion | null
  /** Absent: no server follows another one, or none can be asked. */
  readonly replication?: ReplicationWords | undefined
  /** Absent: the database has none. */
  readonly locks?: LockWords | undefined
  readonly channels?: ChannelWords | undefined
  readonly copy?: CopyWords | undefined
  explain(error: ErrorFields): Meaning
  /** What the server said, without values, to a statement of that text. */
  message(error: ErrorFields, sql: string | undefined): string
  readonly models: ModelWords
  readonly advice: Advice
}

/**
 * The isolation level a user meant: any case, with blanks, `_` or `-` between the words.
 *
 * @throws {UsageError} for an unknown level; the message lists the known ones.
 * @see GINO `isolation_level`, which also takes `READ_COMMITTED`.
 */
export function parseIsolation(value: unknown): IsolationLevel {
  const spelled = typeof value === 'string' && value.length < 40 ? value.toLowerCase().replaceAll(/[_-]/g, ' ') : ''
  const level = levels.find((each) => each === spelled)
  if (level !== undefined) return level
  const given = /^[a-z ]+$/.test(spelled) ? `"${spelled}"` : describeType(value)
  throw new UsageError(
    `The isolation level ${given} does not exist: use one of ${levels.map((each) => `"${each}"`).join(', ')}.`,
  )
}
