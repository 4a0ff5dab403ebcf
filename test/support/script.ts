/** Scripts that run the built package in a process of their own: for what only shows when a process ends or collects garbage. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { beforeAll } from 'vitest'
import { builtPackage } from './built.ts'

// It takes longer than a test may on a busy machine, and is no part of one.
beforeAll(async () => void (await builtPackage()))

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
  /** Where it runs; default: where the tests do. */
  readonly cwd?: string | undefined
  /** Default 100_000. */
  readonly timeoutMs?: number | undefined
}

/**
 * Runs the text of a module until it ends by itself. It finds the package at `genever` and its subpaths; `global.gc` is
 * there.
 */
export async function runScript(text: string, options: ScriptOptions = {}): Promise<ScriptEnd> {
  const directory = await builtPackage()
  const file = join(directory, `script-${Math.random().toString(36).slice(2)}.mjs`)
  const resolved = text.replaceAll(
    /from 'genever(?:\/([^']+))?'/g,
    (_, path?: string) => `from './dist/${placeOf(path)}'`,
  )
  await writeFile(file, resolved)
  const child = spawn(process.execPath, ['--expose-gc', '--no-warnings', file], {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk))
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 100_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  await rm(file)
  return { code, stdout: said.stdout.trimEnd(), stderr: said.stderr }
}

/** The file of a subpath of the package, below `dist/`. */
function placeOf(path: string | undefined): string {
  const subpath = path === undefined ? '.' : `./${path}`
  const known = Object.entries(manifest.exports).find(([name]) => name === subpath)?.[1]
  if (known === undefined || typeof known === 'string') throw new Error(`The package has no subpath ${subpath}.`)
  return known.default.replace('./dist/', '')
}
