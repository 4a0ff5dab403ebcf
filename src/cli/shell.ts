// `genever shell`: a REPL of Node with the database and the models.
import { once } from 'node:events'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type REPLServer, start } from 'node:repl'
import { sql } from '../postgres/dialect.ts'
import { loading, type Project } from './project.ts'
import { type ShellFlags, ShellSession } from './shell-session.ts'
import type { Row } from '../engine/query/executor.ts'
import type { Status } from '../engine/query/execute.ts'
import { type Terminal, tableOf } from './terminal.ts'
import { createInterface, type Interface } from 'node:readline'
import { PassThrough } from 'node:stream'
import { clock } from '../util/clock.ts'

/** The exit code: 1 where a line of a program that was piped in has failed. */
export async function runShell(project: Project, flags: ShellFlags, terminal: Terminal): Promise<number> {
  const session = await ShellSession.begin(project, flags)
  const { config } = project
  const models = { ...(await loading('genever.config', async () => config.models?.())) }
  const context = { ...models, ...(await config.shell?.context?.()), db: project.db, sql }
  const inTerminal = isTerminal(process.stdin) && isTerminal(process.stdout)
  const feed = inTerminal ? null : new LineFeed(process.stdin)
  let code = 0
  if (inTerminal) terminal.print(greeting(project, models, flags, terminal))
  const server = start({
    prompt: session.prompt,
    input: feed?.input ?? process.stdin,
    output: process.stdout,
    terminal: inTerminal,
    useColors: inTerminal && terminal.colours,
    preview: false,
    ignoreUndefined: true,
    // Ctrl-C gives up a line that waits.
    breakEvalOnSigint: inTerminal,
  })
  Object.assign(server.context, context)
  delete server.context['default']
  const failed = (error: unknown): void => {
    if (!inTerminal) code = 1
    terminal.print(`Uncaught ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`)
  }
  evaluateWithin(server, session, () => {
    if (!inTerminal) code = 1
  })
  feed?.follow(server)
  defineCommands(server, session, terminal, failed)
  if (inTerminal) await keepHistory(server)
  await once(server, 'exit')
  await session.end()
  return code
}

function isTerminal({ isTTY }: { readonly isTTY?: boolean | undefined }): boolean {
  return isTTY === true
}

function greeting({ db, from }: Project, models: object, { rollback }: ShellFlags, terminal: Terminal): string {
  const names = Object.keys(models).filter((name) => name !== 'default')
  return [
    `${String(db)}, from ${from}`,
    `Available: ${['db', 'sql', ...names].join(', ')}. Top-level await works; .help has the commands.`,
    ...(rollback === true ? [terminal.style('yellow', 'Everything is rolled back at the end.')] : []),
  ].join('\n')
}

/** Code of each line runs in the transaction and the tenant of the session. */
function evaluateWithin(server: REPLServer, session: ShellSession, failed: () => void): void {
  const evaluate = server.eval
  const within: typeof evaluate = function (this: REPLServer, line, context, file, done) {
    let told = false
    const tell = (error: Error | null, result: unknown): void => {
      if (told) return
      told = true
      if (error !== null && error !== undefined && error.name !== 'Recoverable' && !isRecoverable(error)) failed()
      done(error, result)
    }
    void session
      .within(
        () =>
          new Promise<void>((resolve) => {
            evaluate.call(this, line, context, file, (error, result) => {
              tell(error, result)
              resolve()
            })
          }),
      )
      .catch((error: unknown) => tell(error as Error, undefined))
  }
  Reflect.set(server, 'eval', within)
}

/** The line goes on in the next one. */
function isRecoverable(error: Error): boolean {
  return 'err' in error
}

function defineCommands(
  server: REPLServer,
  session: ShellSession,
  terminal: Terminal,
  failed: (error: unknown) => void,
): void {
  const command = (name: string, help: string, action: (text: string) => Promise<string | undefined>): void => {
    server.defineCommand(name, {
      help,
      action(given) {
        this.clearBufferedCommand()
        const run = async (): Promise<void> => {
          try {
            const said = await action(given.trim())
            if (said !== undefined) terminal.print(said)
          } catch (error) {
            failed(error)
          }
          this.setPrompt(session.prompt)
          this.displayPrompt()
        }
        void run()
      },
    })
  }
  command('sql', 'Run SQL and print a table', async (text) => {
    if (text === '') return 'Write the SQL behind it: .sql select 1'
    const { results } = await session.status(text)
    return results.map(printed).join('\n\n')
  })
  command('tenant', 'A tenant, or a schema, from now on; without a name: none', (text) => session.useTenant(text))
  command('begin', 'A transaction from now on', () => session.beginTransaction())
  command('commit', 'Commit that transaction', () => session.commit())
  command('rollback', 'Roll that transaction back', () => session.rollback())
}

function printed({ command, rowCount, rows }: Status<Row>): string {
  if (rows.length === 0) return rowCount === null ? command : `${command} ${rowCount}`
  const names = Object.keys(rows[0] as object)
  const cells = rows.map((row) => names.map((name) => cellOf(row[name])))
  return `${tableOf(cells, names)}\n${rows.length === 1 ? '1 row' : `${rows.length} rows`}`
}

function cellOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'string') return value.replaceAll(/\s+/g, ' ')
  return typeof value === 'object' ? JSON.stringify(value) : inspect(value)
}

async function keepHistory(server: REPLServer): Promise<void> {
  const file = process.env['GENEVER_HISTORY'] ?? join(homedir(), '.genever_history')
  if (file === '') return
  // Where it cannot be written, the shell has no history.
  await new Promise<void>((resolve) => server.setupHistory(file, () => resolve()))
}

// A program that is piped into the shell: its lines are given to the REPL one at a time, each when the one before has ended.
// The REPL itself would read on while a line awaits something.
class LineFeed {
  readonly input: PassThrough = new PassThrough()
  readonly #waiting: string[] = []
  #ended = false
  /** The REPL has asked for a line and has none. */
  #asked = false

  constructor(source: NodeJS.ReadableStream) {
    const lines: Interface = createInterface({ input: source, crlfDelay: Infinity })
    lines.on('line', (line) => {
      this.#waiting.push(line)
      this.#give()
    })
    lines.on('close', () => {
      this.#ended = true
      this.#give()
    })
  }

  /** The REPL shows its prompt whenever it is ready for a line. */
  follow(server: REPLServer): void {
    const show = server.displayPrompt.bind(server)
    server.displayPrompt = (preserveCursor) => {
      show(preserveCursor)
      this.#ask()
    }
    this.#ask()
  }

  #ask(): void {
    if (this.#asked) return
    this.#asked = true
    clock.setImmediate(() => this.#give())
  }

  #give(): void {
    if (!this.#asked) return
    const line = this.#waiting.shift()
    if (line !== undefined) {
      this.#asked = false
      this.input.write(`${line}\n`)
    } else if (this.#ended) this.input.end()
  }
}
