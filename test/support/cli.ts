/** The command of the built package, in a project of its own: by pipes, and in a real terminal. */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll } from 'vitest'
import { builtPackage } from './built.ts'
import { until } from './until.ts'

// It takes longer than a test may on a busy machine, and is no part of one.
beforeAll(async () => void (await builtPackage()))

export interface CommandEnd {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Piped into it. */
  readonly input?: string | undefined
}

/** util-linux has a `script` that runs a command in a terminal of its own. */
export const hasTerminal: boolean =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false

export class CommandProject implements AsyncDisposable {
  readonly directory: string
  readonly #bin: string

  private constructor(directory: string, bin: string) {
    this.directory = directory
    this.#bin = bin
  }

  /** A project that has installed the built package. */
  static async make(): Promise<CommandProject> {
    const built = await builtPackage()
    const project = new CommandProject(await mkdtemp(join(built, 'app-')), join(built, 'dist', 'cli', 'bin.js'))
    await project.write({ 'package.json': '{ "type": "module" }' })
    await mkdir(join(project.directory, 'node_modules'))
    await symlink(built, join(project.directory, 'node_modules', 'genever'))
    return project
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.directory, name)), { recursive: true })
      await writeFile(join(this.directory, name), text)
    }
  }

  async remove(...names: readonly string[]): Promise<void> {
    for (const name of names) await rm(join(this.directory, name), { recursive: true, force: true })
  }

  async run(args: readonly string[], options: CommandOptions = {}): Promise<CommandEnd> {
    const child = spawn(process.execPath, [this.#bin, ...args], { cwd: this.directory, env: environment(options.env) })
    const said = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk))
    child.stdin.end(options.input ?? '')
    const timer = setTimeout(() => child.kill('SIGKILL'), 100_000)
    const [code] = (await once(child, 'close')) as [number | null]
    clearTimeout(timer)
    return { code, ...said }
  }

  /** Starts it in a terminal. */
  start(args: readonly string[], options: CommandOptions = {}): TerminalRun {
    const command = [process.execPath, this.#bin, ...args].map((each) => `'${each}'`).join(' ')
    return new TerminalRun(`stty cols 100 rows 24; exec ${command}`, this.directory, environment(options.env))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** The prompt of a line that goes on: `... ` on Node 20 and 22, `| ` on newer ones. */
export const GOES_ON: string = Number(process.versions.node.split('.')[0]) < 24 ? '... ' : '| '

export class TerminalRun {
  readonly #child: ReturnType<typeof spawn>
  /** Everything that was shown. */
  shown = ''
  /** Null while it runs. */
  code: number | null = null

  constructor(command: string, cwd: string, env: NodeJS.ProcessEnv) {
    this.#child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd,
      env: { ...env, SHELL: '/bin/sh', TERM: 'xterm' },
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (this.shown += chunk))
    // Not 'exit': what it has said may still be on its way then.
    this.#child.on('close', (code) => (this.code = code ?? -1))
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  /** Waits until a text was shown since the last one that was waited for. */
  async see(text: string): Promise<void> {
    await until(() => plain(this.shown).includes(text, this.#seen), {
      what: `${JSON.stringify(text)} is shown, not only ${JSON.stringify(plain(this.shown).slice(-400))}`,
      timeoutMs: 60_000,
    })
    this.#seen = plain(this.shown).indexOf(text, this.#seen) + text.length
  }
  #seen = 0

  async end(): Promise<number> {
    await until(() => this.code !== null, { what: 'the command ends', timeoutMs: 60_000 })
    return this.code ?? -1
  }
}

/** Without what moves the cursor and colours the text. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- what is to go
  return text.replaceAll(/\u001B\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r', '')
}

function environment(given: CommandOptions['env']): NodeJS.ProcessEnv {
  const { DATABASE_URL: _url, NO_COLOR: _none, FORCE_COLOR: _forced, NODE_OPTIONS: _options, ...rest } = process.env
  return { ...rest, GENEVER_HISTORY: '', ...given }
}
