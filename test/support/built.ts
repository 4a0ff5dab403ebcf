/** The built package, made once in a run, by the first file that asks for it. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { root } from './source.ts'
import { until } from './until.ts'

const run = promisify(execFile)
let built: Promise<string> | undefined

/** A directory below the project, where the package finds those of the drivers: `package.json` and `dist/`. */
export function builtPackage(): Promise<string> {
  built ??= make(inject('builtPackage'))
  return built
}

/** Makes the package there as `npm run build` does: `package.json` and `dist/`. */
export async function buildPackage(directory: string): Promise<void> {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const args = ['-p', 'tsconfig.build.json', '--noCheck', '--outDir', join(directory, 'dist')]
  await run(process.execPath, [compiler, ...args], { cwd: root })
  await cp(join(root, 'package.json'), join(directory, 'package.json'))
  await run(process.execPath, [join(root, 'scripts', 'bundle.js'), directory], { cwd: root })
}

async function make(directory: string): Promise<string> {
  const ready = join(directory, 'ready')
  await mkdir(dirname(directory), { recursive: true })
  if (await isFirst(directory)) {
    await buildPackage(directory)
    await writeFile(ready, '')
  }
  await until(() => existsSync(ready), { what: 'another test file has built the package', timeoutMs: 90_000 })
  return directory
}

/** Of several workers, one makes the directory. */
async function isFirst(directory: string): Promise<boolean> {
  try {
    await mkdir(directory)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
