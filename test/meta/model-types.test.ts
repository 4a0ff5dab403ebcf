/** The types of models hold under every TypeScript that is supported, and on both versions of Drizzle. */

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { builtPackage } from '../support/built.ts'
import { root } from '../support/source.ts'

const run = promisify(execFile)

interface Configuration {
  readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> }
}

const compilers = ['typescript-5.8', 'typescript-6', 'typescript'] as const
const configs = ['tsconfig.json', 'tsconfig.drizzle-1.json'] as const

// What users have is the declarations. Compilers take a third of the time for them that they take for the sources.
beforeAll(async () => void (await builtPackage()))

test('the contract compiles, with what it refuses, under TypeScript 5.8, 6 and 7', { timeout: 240_000 }, async () => {
  await mkdir(join(root, '.build'), { recursive: true })
  const folder = await mkdtemp(join(root, '.build', 'types-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const problems: string[] = []
  const built = await builtPackage()
  const declared = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
    typeof target === 'string' ? [] : [[`genever${subpath.slice(1)}`, [join(built, target.types)]] as const],
  )
  for (const config of configs) {
    const project = join(folder, config)
    const files = ['contract', 'rows'].map((name) => join(root, 'test', 'models', `${name}.types.ts`))
    const { compilerOptions } = JSON.parse(await readFile(join(root, config), 'utf8')) as Configuration
    const here = Object.entries(compilerOptions.paths).map(
      ([name, places]) => [name, places.map((place) => join(root, place))] as const,
    )
    const paths = Object.fromEntries([...here, ...declared])
    await writeFile(
      project,
      JSON.stringify({ extends: join(root, config), compilerOptions: { paths }, files, include: [] }),
    )
    // The older compilers take their time: 1.0 is checked by the newest alone.
    for (const name of config === 'tsconfig.json' ? compilers : (['typescript'] as const))
      problems.push(...(await problemsOf(name, project)).map((line) => `${name} on ${config}: ${line}`))
  }

  expect(problems).toEqual([])
})

async function problemsOf(compiler: string, project: string): Promise<string[]> {
  const tsc = join(createRequire(import.meta.url).resolve(`${compiler}/package.json`), '..', 'bin', 'tsc')
  try {
    await run(process.execPath, [tsc, '-p', project, '--noEmit', '--pretty', 'false'], { cwd: root })
    return []
  } catch (error) {
    const { stdout, message } = error as { readonly stdout?: string; readonly message: string }
    return (stdout || message).trim().split('\n')
  }
}
