/** Every TypeScript block of the documentation compiles against the package; one fenced as `ts ignore` is left out. */

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/source.ts'

interface Block {
  readonly file: string
  readonly code: string
  /** Of the first line of code. */
  readonly line: number
}

test('every block of code in the documentation compiles', { timeout: 240_000 }, async () => {
  expect(await compile(pages().flatMap(blocks))).toEqual([])
})

test('a block that does not compile is told with its page and line', { timeout: 240_000 }, async () => {
  const page = 'Some words.\n\n```ts\nconst a = 1\nconst b: string = a\n```\n\n```ts ignore\nnonsense(\n```\n'

  expect(await compile(blocks({ file: 'page.md', text: page }))).toEqual([
    "page.md:5 TS2322: Type 'number' is not assignable to type 'string'.",
  ])
})

test('every link of the documentation leads to a file, and to a heading of it', () => {
  const all = pages()
  const headings = new Map(all.map(({ file, text }) => [file, anchors(text)]))
  const broken = all.flatMap(({ file, text }) =>
    [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => {
        const [path = '', anchor] = target.split('#')
        const found = path === '' ? file : join(dirname(file), path)
        const known = headings.get(found)
        return !existsSync(join(root, found)) || (anchor !== undefined && known?.has(anchor) === false)
      })
      .map((target) => `${file}: ${target}`),
  )

  expect(broken).toEqual([])
})

const withoutCode = (text: string): string => text.replaceAll(/^[ \t]*```[\s\S]*?^[ \t]*```/gm, '')

/** As the sites that show Markdown name its headings. */
function anchors(text: string): Set<string> {
  return new Set(
    [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
}

/** The pages of the root and docs/**.md; none of them need exist. */
function pages(): { file: string; text: string }[] {
  return readdirSync(root, { recursive: false, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') || name === 'docs')
    .flatMap((name) =>
      name === 'docs'
        ? readdirSync(join(root, name), { recursive: true, encoding: 'utf8' }).map((path) => join(name, path))
        : [name],
    )
    .filter((path) => path.endsWith('.md'))
    .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))
}

function blocks({ file, text }: { file: string; text: string }): Block[] {
  const fence = /^([ \t]*)```(?:ts|typescript)[ \t]*([^\n]*)\n([\s\S]*?)^\1```[ \t]*$/gm
  return [...text.matchAll(fence)]
    .filter(([, , info = '']) => !info.split(/\s+/).includes('ignore'))
    .map((match) => ({
      file,
      code: match[3] ?? '',
      line: text.slice(0, match.index).split('\n').length + 1,
    }))
}

/** One program for all blocks, each a module with as many empty lines before it as the page has lines: so places agree. */
async function compile(found: readonly Block[]): Promise<string[]> {
  if (found.length === 0) return []
  const directory = await mkdtemp(join(tmpdir(), 'genever-docs-'))
  try {
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        declaration: false,
        isolatedDeclarations: false,
        noUnusedLocals: false,
        noUnusedParameters: false,
        typeRoots: [join(root, 'node_modules', '@types')],
        paths: {
          genever: [join(root, 'src', 'index.ts')],
          'genever/types': [join(root, 'src', 'postgres', 'types', 'index.ts')],
          'genever/otel': [join(root, 'src', 'observe', 'otel', 'index.ts')],
          'genever/fastify/types': [join(root, 'src', 'plugins', 'fastify', 'types.ts')],
          'genever/*': ['src', 'src/builder', 'src/plugins'].flatMap((folder) => [
            join(root, folder, '*', 'index.ts'),
            join(root, folder, '*.ts'),
          ]),
        },
      },
      include: ['pages'],
    }
    await mkdir(join(directory, 'pages'))
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }')
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config))
    const names = new Map<string, string>()
    for (const [index, { file, code, line }] of found.entries()) {
      const name = `block${index}.ts`
      names.set(name, file)
      await writeFile(join(directory, 'pages', name), '\n'.repeat(line - 1) + code)
    }
    const output = await tsc(directory)
    return output
      .split('\n')
      .filter((line) => line.includes('error TS'))
      .map((line) =>
        line.replace(/^pages\/(block\d+\.ts)\((\d+),\d+\): error /, (_, name, at) => `${names.get(name)}:${at} `),
      )
  } finally {
    await rm(directory, { recursive: true })
  }
}

function tsc(directory: string): Promise<string> {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  return new Promise((resolve) => {
    execFile(process.execPath, [compiler, '-p', '.', '--pretty', 'false'], { cwd: directory }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
}
