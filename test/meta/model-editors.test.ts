/** What compilers and editors make of models: declarations of programs that export them, CommonJS, what is shown on hover. */

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import ts from 'typescript-6'
import { root } from '../support/source.ts'

const run = promisify(execFile)
const compiler = (name: string): string =>
  join(createRequire(import.meta.url).resolve(`${name}/package.json`), '..', 'bin', 'tsc')

let folder: string

/** An application in which the package is installed: only there a declaration cannot name what is not exported. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'genever-editors-'))
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, 'genever'), { recursive: true })
  const out = join(modules, 'genever', 'dist')
  await run(process.execPath, [compiler('typescript'), '-p', 'tsconfig.build.json', '--outDir', out], { cwd: root })
  await cp(join(root, 'package.json'), join(modules, 'genever', 'package.json'))
  for (const name of ['drizzle-orm', '@types', 'undici-types', 'pg', 'kysely'])
    await symlink(join(root, 'node_modules', name), join(modules, name))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await cp(join(root, 'test', 'meta', 'fixtures', 'exports-models.ts'), join(folder, 'program.ts'))
  await cp(join(root, 'test', 'meta', 'fixtures', 'exports-models.ts'), join(folder, 'program.cts'))
}, 120_000)

afterAll(() => rm(folder, { recursive: true }))

const common = { strict: true, target: 'es2023', module: 'nodenext', skipLibCheck: true, types: ['node'] }

async function problems(name: string, compilerOptions: object, file: string): Promise<string> {
  const project = join(folder, 'tsconfig.json')
  await writeFile(project, JSON.stringify({ compilerOptions: { ...common, ...compilerOptions }, files: [file] }))
  try {
    await run(process.execPath, [compiler(name), '-p', project, '--pretty', 'false'])
    return ''
  } catch (error) {
    const { stdout, message } = error as { readonly stdout?: string; readonly message: string }
    return stdout || message
  }
}

test('a program that exports models, and all they give, has declarations', { timeout: 120_000 }, async () => {
  const options = { declaration: true, emitDeclarationOnly: true, outDir: './out' }

  for (const name of ['typescript-5.8', 'typescript-6', 'typescript'])
    expect([name, await problems(name, options, 'program.ts')]).toEqual([name, ''])
})

test('CommonJS has models with the paths of the page', { timeout: 120_000 }, async () => {
  const page = await readFile(join(root, 'docs', 'models.md'), 'utf8')
  const { compilerOptions } = JSON.parse(/```json\n(\{ "compilerOptions"[^`]*)```/.exec(page)?.[1] ?? '{}') as {
    readonly compilerOptions: object
  }

  for (const name of ['typescript-5.8', 'typescript'])
    expect([name, await problems(name, { ...compilerOptions, noEmit: true }, 'program.cts')]).toEqual([name, ''])
})

test('every static shows a sentence and a short type', () => {
  const file = join(folder, 'program.ts')
  const text = ts.sys.readFile(file) ?? ''
  const { sys } = ts
  const service = ts.createLanguageService({
    fileExists: (name) => sys.fileExists(name),
    readFile: (name) => sys.readFile(name),
    readDirectory: (path) => sys.readDirectory(path),
    directoryExists: (name) => sys.directoryExists(name),
    getDirectories: (name) => sys.getDirectories(name),
    getScriptFileNames: () => [file],
    getScriptVersion: () => '1',
    getScriptSnapshot: (name) => {
      const content = ts.sys.readFile(name)
      return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content)
    },
    getCurrentDirectory: () => folder,
    getCompilationSettings: () => ({
      strict: true,
      module: ts.ModuleKind.NodeNext,
      types: ['node'],
      skipLibCheck: true,
    }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
  })
  const shown = [...text.matchAll(/= Short\.(\w+)\(/g)].map((found) => {
    const info = service.getQuickInfoAtPosition(file, found.index + '= Short.'.length)
    const type = ts.displayPartsToString(info?.displayParts)
    const sentence = ts.displayPartsToString(info?.documentation)
    return {
      name: found[1],
      long: /Pg|\.\.\. \d+ more/.test(type) || type.length > 700,
      sentence: sentence !== '',
      type,
    }
  })

  expect(shown.length).toBeGreaterThan(15)
  expect(shown.filter(({ long, sentence }) => long || !sentence)).toEqual([])
})
