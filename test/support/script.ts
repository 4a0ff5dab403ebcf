/** Scripts that run the built package in a process of their own: for what only shows when a process ends or collects garbage. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'
import { root } from './source.ts'

export interface ScriptEnd {
  /** Null: it was still running at the end of its time, and was killed. */
  readonly code: number | null
  /** What it printed, without the last line break. */
  readonly stdout: string
  readonly stderr: string
}

export interface ScriptOptions {
  /** Strings the script finds in `process.env`. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Default 20_000. */
  readonly timeoutMs?: number | undefined
}

const run = promisify(execFile)
let built: Promise<string> | undefined

afterAll(async () => {
  if (built !== undefined) await rm(await built, { recursive: true })
  built = undefined
})

/**
 * Runs the text of a module until it ends by itself. It finds the package at `genever`, files of its own under `genever/…`,
 * as `genever/driver/fake/driver.js`; `global.gc` is there.
 */
export async function runScript(text: string, options: ScriptOptions = {}): Promise<ScriptEnd> {
  const directory = await (built ??= build())
  const file = join(directory, `script-${Math.random().toString(36).slice(2)}.mjs`)
  const resolved = text.replaceAll(
    /from 'genever(?:\/([^']+))?'/g,
    (_, path?: string) => `from './dist/${path ?? 'index.js'}'`,
  )
  await writeFile(file, resolved)
  const child = spawn(process.execPath, ['--expose-gc', '--no-warnings', file], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk))
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 20_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  await rm(file)
  return { code, stdout: said.stdout.trimEnd(), stderr: said.stderr }
}

/** Below the project, where a script finds the drivers' packages. */
async function build(): Promise<string> {
  await mkdir(join(root, '.build'), { recursive: true })
  const directory = await mkdtemp(join(root, '.build', 'script-'))
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  // What does not compile is another test's matter; the files are written all the same.
  await run(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', join(directory, 'dist')], {
    cwd: root,
  }).catch(() => {})
  return directory
}
