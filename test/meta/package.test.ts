/** The package as it would be published: built and packed aside, then looked at and used like a stranger would. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { root } from '../support/source.ts'

const run = promisify(execFile)
const node = (directory: string, ...args: string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: directory }, (error, stdout, stderr) =>
      resolve(error === null ? stdout.trim() : `failed: ${stdout}${stderr}`),
    )
  })
const tool = (name: string, file: string): string => join(root, 'node_modules', name, file)
const subpaths = Object.keys(manifest.exports).map((subpath) => `genever${subpath.slice(1)}`)
const modules = subpaths.filter((name) => !name.endsWith('.json'))

let directory = ''
let tarball = ''
let consumer = ''

// Until the entry files are written there is nothing to pack; `npm run pack:check` does not wait for them.
const written = existsSync(join(root, 'src', 'index.ts')) && existsSync(join(root, 'src', 'testing', 'index.ts'))

describe.skipIf(!written)('the packed package', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'genever-package-'))
    consumer = join(directory, 'consumer')
    const source = join(directory, 'source')
    await mkdir(source)
    const parts = [
      'src',
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
    ]
    for (const part of parts.filter((name) => existsSync(join(root, name))))
      await cp(join(root, part), join(source, part), { recursive: true })
    await symlink(join(root, 'node_modules'), join(source, 'node_modules'))
    const built = await node(source, tool('typescript', 'bin/tsc'), '-p', 'tsconfig.build.json')
    if (built !== '') throw new Error(`The package does not build:\n${built}`)
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], { cwd: source })
    tarball = join(directory, `genever-${manifest.version}.tgz`)
    const installed = join(consumer, 'node_modules', 'genever')
    await mkdir(installed, { recursive: true })
    await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
    await mkdir(join(consumer, 'node_modules', '@types'))
    await symlink(tool('@types/node', ''), join(consumer, 'node_modules', '@types', 'node'))
    await symlink(tool('undici-types', ''), join(consumer, 'node_modules', 'undici-types'))
    await writeFile(join(consumer, 'package.json'), '{ "type": "module" }')
  }, 60_000)

  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('is what publint asks for', async () => {
    expect(await node(consumer, tool('publint', 'src/cli.js'), 'run', tarball, '--strict')).not.toMatch(
      /^failed|Errors:|Warnings:/m,
    )
  })

  test('gives its types to every kind of importer', async () => {
    const arguments_ = [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color', '--no-emoji']

    expect(await node(consumer, tool('@arethetypeswrong/cli', 'dist/index.js'), ...arguments_)).not.toMatch(/^failed/)
  })

  test('is loaded by require() and by import, each subpath, without any peer installed', async () => {
    const names = JSON.stringify(subpaths)
    const required = `for (const name of ${names}) require(name); console.log('loaded')`
    const imported = `for (const name of ${JSON.stringify(modules)}) await import(name); console.log('loaded')`

    expect(await node(consumer, '--no-warnings', '--input-type=commonjs', '-e', required)).toBe('loaded')
    expect(await node(consumer, '--input-type=module', '-e', imported)).toBe('loaded')
  })

  test('has declarations that compile without any peer installed and without skipLibCheck', async () => {
    const lines = modules.map((name, index) => `export * as part${index} from '${name}'`)
    await writeFile(join(consumer, 'use.ts'), lines.join('\n'))
    const flags = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
      '--noEmit',
      '--pretty',
      'false',
    ]
    const libraries = ['--lib', 'es2023,esnext.disposable', '--skipLibCheck', 'false']

    expect(await node(consumer, tool('typescript', 'bin/tsc'), ...flags, ...libraries, 'use.ts')).toBe('')
  })

  test('holds sources and what is built from them, and nothing else', async () => {
    const held = await readdir(join(consumer, 'node_modules', 'genever'))

    expect(held.filter((name) => !/^(dist|src|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(name))).toEqual([])
  })
})

test('the package has no dependency and runs nothing when it is installed', () => {
  const { scripts } = manifest
  const installing = ['preinstall', 'install', 'postinstall', 'prepare'].filter((name) => name in scripts)

  expect('dependencies' in manifest).toBe(false)
  expect(installing).toEqual([])
})
