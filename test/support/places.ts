/** The folders of the project and what lives in each: the rules of imports and the pages are made of this. */

/** The layers of `src/`: an import may only point to one that stands above. Those of one object are beside each other. */
export const layers: readonly Readonly<Record<string, string>>[] = [
  { errors: 'every error class' },
  {
    util: 'the context store and the root context, clocks and timers (`clock.ts`: taken once, so fake timers do not reach them), deadlines, lines of those who wait (`line.ts`), options: know nothing of databases',
  },
  { observe: "events as plain data on `diagnostics_channel`, notices, `echo`, places in the user's code" },
  { sql: 'statements, parameters, the `sql` tag, baked statements: free of any database; the interface `Dialect`' },
  {
    postgres: 'PostgreSQL itself, whoever speaks to it: lexer, classification of texts, its dialect, types, encoding',
    mysql: 'the same of MySQL and MariaDB',
  },
  {
    driver:
      'one raw connection: open, submit, cancel, reset, close. The registry of drivers: schemes, options and defaults of each, known before it is loaded. A folder for each driver, `postgres/` shared',
  },
  {
    options:
      'URLs, checks, TLS; `resolveOptions()`: a frozen result. It asks the descriptor of the driver, and names none',
  },
  { pool: 'which caller gets which connection: queue, leases, reset on return, closing' },
  { engine: 'frames, slots, admission, transactions, cursors, connections, the query methods' },
  { db: '`Db`: which engine it stands for, here and now' },
  { builder: 'Drizzle and Kysely on the connection of the context' },
  { schema: 'DDL from the tables of Drizzle' },
  { models: '`Model(db, table)`: rows as objects, JSON properties, loaders; `types/` has the public interfaces' },
  { registry: 'one pool for a database and process; several databases, tenants' },
  {
    script: 'work with a database that is closed behind it',
    sync: 'blocking calls through a worker',
    migrations: 'folders of migrations, each file once',
    testing: 'helpers for tests of applications',
  },
  { plugins: 'web frameworks: a folder each, `request/` shared' },
  { cli: 'the command `genever`' },
  { 'index.ts': 'the public door: re-exports' },
]

/**
 * The order inside of a layer: groups of files and folders with what lives there, lowest first. A file belongs to the group that names
 * most of its path; what no group names comes last.
 */
export const inside: Readonly<Record<string, readonly Group[]>> = {
  engine: [
    {
      noun: 'the common ground: `EngineCore`, the meaning of functions, the states of a transaction as a table',
      paths: [
        'internal-op.ts',
        'switching.ts',
        'functions.ts',
        'core.ts',
        'open/opening.ts',
        'client/listener.ts',
        'hosts/server-probe.ts',
        'hosts/host.ts',
        'hosts/read-only.ts',
        'hosts/samples.ts',
        'transaction/state.ts',
        'transaction/ended.ts',
        'transaction/hooks.ts',
      ],
    },
    {
      noun: 'frames and look-up, which know slots, transactions and handles by interfaces alone',
      paths: ['context/', 'report.ts', 'watch.ts', 'handle.ts', 'twins.ts', 'transaction/statement-transaction.ts'],
    },
    {
      noun: 'operations and turns',
      paths: [
        'query/op.ts',
        'query/engine-statement.ts',
        'query/failure.ts',
        'query/made-with.ts',
        'query/row-parts.ts',
        'query/row-stream.ts',
        'slot/waiting.ts',
        'slot/flight.ts',
        'client/copy-in.ts',
        'client/listening-connection.ts',
      ],
    },
    {
      noun: 'the record of a transaction, which knows its slot by an interface alone, and the stack of those that are open',
      paths: ['transaction/terms.ts', 'transaction/record.ts', 'slot/stack.ts'],
    },
    {
      noun: 'how a slot holds its connection, as far as its other parts know it',
      paths: ['slot/session.ts', 'slot/holding.ts'],
    },
    {
      noun: 'the parts that decide for a slot',
      paths: [
        'slot/frameless.ts',
        'slot/admission.ts',
        'slot/sending.ts',
        'slot/control.ts',
        'slot/reach.ts',
        'slot/spares.ts',
        'hosts/hosts.ts',
        'hosts/route.ts',
      ],
    },
    { noun: 'slots, and the position of a database', paths: ['slot/', 'hosts/'] },
    {
      noun: 'how a transaction ends, and a call becomes an operation',
      paths: [
        'detached.ts',
        'query/cursor-transaction.ts',
        'query/query-terms.ts',
        'query/runner.ts',
        'query/cursor.ts',
        'query/execute.ts',
        'client/keyed-turns.ts',
        'client/lock.ts',
        'transaction/outcome.ts',
        'transaction/ending.ts',
      ],
    },
    {
      noun: 'the handles: connections, transactions, and the query methods of both',
      paths: ['connection.ts', 'runtime.ts', 'query/', 'transaction/options.ts', 'transaction/transaction.ts'],
    },
    {
      noun: 'transactions, copies, listeners and scopes, which handles begin',
      paths: ['client/', 'transaction/', 'open/base-runtime.ts', 'open/scope-runtime.ts', 'source.ts'],
    },
    { noun: 'the engine', paths: ['engine.ts'] },
    { noun: 'how an engine is made', paths: ['open-scope.ts', 'open/'] },
  ],
  models: [
    { noun: 'the public types', paths: ['types/'] },
    {
      noun: 'tables, columns, properties and values as models know them',
      paths: [
        'meta/',
        'json/',
        'statement/',
        'values/',
        'load/source.ts',
        'query/given.ts',
        'query/compile/condition.ts',
        'instance/plain.ts',
        'instance/using.ts',
      ],
    },
    { noun: 'rows written and read by their key', paths: ['crud/'] },
    { noun: 'loaders and lists', paths: ['load/', 'query/state.ts', 'query/keyset.ts', 'values/key-order.ts'] },
    { noun: 'queries', paths: ['query/', 'load/select-in.ts'] },
    { noun: 'instances, and `Model` itself', paths: ['instance/', 'model.ts', 'index.ts'] },
  ],
}

export interface Group {
  readonly noun: string
  readonly paths: readonly string[]
}

/** The folders of `test/`. */
export const testFolders: Readonly<Record<string, string>> = {
  unit: 'functions without I/O',
  behaviour: 'the promises of the docs, through the public API, on real servers',
  drivers: 'one suite that every driver passes',
  faults: 'broken networks, servers and callers',
  model: 'the rules of the context as a model written from the pages: random programs see the same on a real server',
  simulation: 'random orders of events on a driver in memory',
  replicas: 'reads on servers that follow another',
  mysql: 'the same promises on MySQL and MariaDB',
  models: 'the subpath `models`',
  schema: 'the subpath `schema`',
  drizzle: 'the subpath `drizzle`',
  kysely: 'the subpath `kysely`',
  web: 'the plug-ins of web frameworks',
  meta: 'the rules of the house: layers, sizes, docs, exports, the package',
  installs: 'older and newer versions of other packages that suites run on',
  support: 'helpers',
}
