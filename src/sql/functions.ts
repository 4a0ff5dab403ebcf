// Knowledge about the functions of one database that texts do not show: which may leave something in a session, which reads are plain.
// A dialect reads it from its catalogue; the engine asks for it. Types only.

/** The effects of a text that it does not show. */
export interface Reach {
  /** Names of all that may leave something in the session: called functions, those of triggers, views and defaults, verbs such as DO. */
  readonly stateful: readonly string[]
  /** Those of `stateful` that the text does not name, each with its table. */
  readonly triggered: readonly string[]
  /** Functions by which it asks for the numbers that its own session has drawn. */
  readonly asks: readonly string[]
  /** It calls a function that may draw numbers of sequences. */
  readonly draws: boolean
  /** It calls only functions that change nothing, so it may run on any connection. */
  readonly plain: boolean
  /**
   * It calls a function that may change something, itself or through a view: it has to run once for each time it was issued. Functions
   * of PostgreSQL and of extensions that are not volatile do not, nor do those that the user calls harmless.
   */
  readonly once: boolean
  /** Names in front of a bracket that the catalogue did not have when it was read. */
  readonly unknown: readonly string[]
}

/** Names of functions, without schema, about which the user knows more than the catalogue. */
export interface KnownFunctions {
  readonly harmless: ReadonlySet<string>
  readonly stateful: ReadonlySet<string>
}

/** A catalogue that was read. */
export interface FunctionBook {
  /** Functions that may leave state and are called where no text shows it, such as by a cast: any statement may call them. */
  readonly hidden: readonly string[]
  /** Reads that call nothing have to be judged too: one may change something, or leave something in the session, by a view for example. */
  readonly judgesReads: boolean
  /** Such a read may leave something. Those that ran before this was known may have done so. */
  readonly readsLeave: boolean
  reachOf(text: string): Reach
}

export interface FunctionDialect {
  /** One row with one column of text. */
  readonly query: string
  /** @param answer What the query gave. */
  read(answer: string, known: KnownFunctions): FunctionBook
  /** Whether a text may change what was read. */
  changes(text: string): boolean
}
