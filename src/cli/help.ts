// The texts of help: each fits a screen of 24 lines and 80 columns.

export const commands = ['doctor', 'migrate', 'status', 'shell'] as const

export type Command = (typeof commands)[number]

const shared = `  --config FILE     the configuration; default: genever.config.{ts,mts,js,mjs}
  --url URL         the database, instead of that of the configuration
  --help            this text`

export const mainHelp: string = `Usage: genever COMMAND [OPTIONS]

  doctor            looks at the database, the pool and what may go wrong
  migrate           applies the migrations that were not applied yet
  status            says which migrations are pending, and what differs
  shell             a REPL with the database and the models

  genever COMMAND --help says more.

${shared}
  --version         the version of genever

Without a configuration DATABASE_URL is the database, and drizzle.config says
where migrations are. NO_COLOR=1 switches colours off.

Exit codes: 0 all is well, 1 it failed or found something, 2 wrong usage.`

export const helpOf: Readonly<Record<Command, string>> = {
  doctor: `Usage: genever doctor [OPTIONS]

Connects, and says what it found: versions, how fast the server answers, TLS,
connections against those the server allows, poolers, the role, the clock. Each
finding that asks for something has its remedy behind an arrow.

  --processes N     how many processes have a pool; default: the configuration
  --json            for programs
${shared}

Exits with 1 when something is wrong.`,
  migrate: `Usage: genever migrate [OPTIONS]

  --folder DIR      the migrations; default: the configuration, drizzle.config
  --schemas NAMES   schemas of tenants, with commas between them, or a pattern
                    between slashes: --schemas /^tenant_/
  --tenants         all that tenancy.list of the registry gives
  --concurrency N   how many tenants at once
  --keep-going      other tenants are migrated when one fails
  --allow KINDS     changed, missing: differences that do not stop the run
  --baseline NAME   the database exists already: records this file and those
                    before it without running them
  --lock-timeout MS how long to wait for another run
  --dry-run         applies nothing, says what would be
  --json            for programs
${shared}

Ctrl-C ends it between two statements (exit code 130). Run it again to go on.`,
  status: `Usage: genever status [OPTIONS]

Says which migrations are pending, and which files differ from what was applied,
for each tenant. Changes nothing.

  --folder DIR      the migrations; default: the configuration, drizzle.config
  --schemas NAMES   schemas of tenants, or a pattern: --schemas /^tenant_/
  --tenants         all that tenancy.list of the registry gives
  --concurrency N   how many tenants at once
  --json            for programs
${shared}

Exits with 1 when something is pending or differs.`,
  shell: `Usage: genever shell [OPTIONS]

A REPL of Node with top-level await. Available: db, sql, the models of the
configuration, and what its shell.context gives.

  --rollback        everything is one transaction that is rolled back at the end
  --tenant NAME     a tenant of the registry; without tenancy, a schema
${shared}

In the shell:
  .sql TEXT         runs SQL and prints a table
  .tenant NAME      that tenant from now on; without a name: none
  .begin            a transaction from now on; .commit and .rollback end it
  .help             all commands

History: ~/.genever_history, or GENEVER_HISTORY (empty: none).`,
}
