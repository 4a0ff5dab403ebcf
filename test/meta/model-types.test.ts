/** The types of models hold under every TypeScript that is supported, and on both versions of Drizzle. */

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { root } from '../support/source.ts'

const run = promisify(execFile)

const compilers = ['typescript-5.8', 'typescript-6', 'typescript'] as const
const configs = ['tsconfig.json', 'tsconfig.drizzle-1.json'] as const

test('the contract compiles, with what it refuses, under TypeScript 5.8, 6 and 7', { timeout: 240_000 }, async () => {
  await mkdir(join(root, '.build'), { recursive: true })
  const folder = await mkdtemp(join(root, '.build', 'types-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const problems: string[] = []
  for (const config of configs) {
    const project = join(folder, config)
    const files = [join(root, 'test', 'models', 'contract.types.ts')]
    await writeFile(project, JSON.stringify({ extends: join(root, config), files, include: [] }))
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
