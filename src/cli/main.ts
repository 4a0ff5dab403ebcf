// The command line: chooses the command, reads its options, and prints its errors.
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { CommandLineError, GeneverError, InvalidOptionError, InvalidUrlError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'
import { nearest } from '../util/options.ts'
import { type Command, commands, helpOf, mainHelp } from './help.ts'
import { loadProject, ownVersion, type Project } from './project.ts'
import { Terminal } from './terminal.ts'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

type Flags = Readonly<Record<string, string | boolean | undefined>>
type Options = NonNullable<ParseArgsConfig['options']>

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const everywhere: Options = { config: text, url: text, help: { ...flag, short: 'h' } }
const ofStatus: Options = { folder: text, schemas: text, tenants: flag, concurrency: text, json: flag }

const optionsOf: Readonly<Record<Command, Options>> = {
  doctor: { ...everywhere, processes: text, json: flag },
  migrate: {
    ...everywhere,
    ...ofStatus,
    'keep-going': flag,
    allow: text,
    baseline: text,
    'lock-timeout': text,
    'dry-run': flag,
  },
  status: { ...everywhere, ...ofStatus },
  shell: { ...everywhere, rollback: flag, tenant: text },
}

type Run = (project: Project, flags: Flags, terminal: Terminal) => Promise<number>

/** Loaded when they are asked for: help is there at once. */
const load: Readonly<Record<Command, () => Promise<Run>>> = {
  doctor: async () => (await import('./doctor.ts')).runDoctor,
  migrate: async () => (await import('./migrate-command.ts')).runMigrate,
  status: async () => (await import('./migrate-command.ts')).runStatus,
  shell: async () => (await import('./shell.ts')).runShell,
}

/** How long what the project's modules keep alive may go on after the command. */
const lingerMs = 100
const closeMs = 5_000

/** Runs a command; the exit code: 0 all is well, 1 it failed or found something, 2 it was called in a wrong way. */
export async function main(given: readonly string[]): Promise<number> {
  const terminal = new Terminal(given.includes('--json'))
  try {
    const [name = '', ...rest] = given
    if (name === '--version' || name === '-v') terminal.print(ownVersion())
    else if (name === '' || name === 'help' || name === '--help' || name === '-h') terminal.print(mainHelp)
    else return await runCommand(commandOf(name), rest, terminal)
    return name === '' ? 2 : 0
  } catch (error) {
    return failed(error, terminal)
  }
}

async function runCommand(command: Command, given: readonly string[], terminal: Terminal): Promise<number> {
  const flags = parsed(command, given)
  if (flags['help'] === true) {
    terminal.print(helpOf[command])
    return 0
  }
  let project: Project
  try {
    project = await loadProject(flags, process.cwd())
  } catch (error) {
    if (needsTypeScript(error)) return startAgain(error, process.cwd())
    throw error
  }
  try {
    const run = await load[command]()
    return await run(project, flags, terminal)
  } finally {
    await project.db.close({ timeoutMs: closeMs })
    clock.setTimeout(() => process.exit(), lingerMs).unref()
  }
}

function commandOf(name: string): Command {
  const found = commands.find((each) => each === name)
  if (found === undefined)
    throw new CommandLineError(
      `There is no command ${JSON.stringify(name.slice(0, 40))}: there are ${commands.join(', ')}.`,
    )
  return found
}

function parsed(command: Command, args: readonly string[]): Flags {
  try {
    return parseArgs({ args: [...args], options: optionsOf[command], strict: true, allowPositionals: false })
      .values as Flags
  } catch (cause) {
    throw new CommandLineError(`${problemOf(cause, optionsOf[command])} See: genever ${command} --help.`, { cause })
  }
}

/** In one sentence: Node adds how a value that begins with a dash could be written. */
function problemOf(cause: unknown, options: Options): string {
  const message = cause instanceof Error ? cause.message : String(cause)
  const [, valued] = /^Option '(?:-\w, )?(--[\w-]+)[^']*' argument/.exec(message) ?? []
  if (valued !== undefined) return `${valued} needs a value.`
  const [, unknown = ''] = /^Unknown option '--([^']*)'/.exec(message) ?? []
  const near = nearest(unknown, Object.keys(options))
  return `${message.split(/\.\s/)[0]}.${near === undefined ? '' : ` Did you mean --${near}?`}`
}

function failed(error: unknown, terminal: Terminal): number {
  if (terminal.json) terminal.printJson({ error })
  else if (error instanceof GeneverError) terminal.fail(error.message)
  else terminal.fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
  const wrongUse =
    error instanceof CommandLineError || error instanceof InvalidOptionError || error instanceof InvalidUrlError
  return wrongUse ? 2 : 1
}

const mark = 'GENEVER_STARTED_AGAIN'

/** Whether a file was not loaded because it is TypeScript. */
function needsTypeScript(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === 'ERR_UNKNOWN_FILE_EXTENSION'
}

/** The exit code of this command with tsx. @throws {CommandLineError} when there is no tsx. */
async function startAgain(error: unknown, directory: string): Promise<number> {
  const loader = process.env[mark] === undefined ? loaderIn(directory) : null
  if (loader === null)
    throw new CommandLineError(
      `This Node (${process.version}) cannot load TypeScript. Install tsx (npm install --save-dev tsx), use Node 22.18 or newer, or write ` +
        'genever.config.mjs.',
      { cause: error },
    )
  const [, program = '', ...given] = process.argv
  const child = spawn(process.execPath, [...process.execArgv, '--import', loader, program, ...given], {
    stdio: 'inherit',
    env: { ...process.env, [mark]: '1' },
  })
  // A terminal sends its signals to both; this one waits for the other.
  const stay = (): void => {}
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, signal === 'SIGINT' ? stay : () => child.kill(signal))
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

function loaderIn(directory: string): string | null {
  try {
    return pathToFileURL(createRequire(join(directory, 'genever.config.ts')).resolve('tsx')).href
  } catch {
    return null
  }
}
