/**
 * The examples of the documentation print what stands behind their lines: every block with `// → …` runs on a database with the
 * tables of the quick start.
 */

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { root } from '../support/source.ts'

/** `PAGE=models` runs one page. */
const only = process.env['PAGE'] ?? ''
/** Pages whose blocks need more than a database, each with its reason. */
const exceptions: Readonly<Record<string, string>> = {
  'sync.md': 'a worker loads the built package',
  'cli.md': 'a configuration, which runs nothing',
}
const printing = /\/\/ → /
const pages = readdirSync(join(root, 'docs')).filter(
  (name) =>
    name.endsWith('.md') &&
    name.startsWith(only) &&
    exceptions[name] === undefined &&
    printing.test(readFileSync(join(root, 'docs', name), 'utf8')),
)
/** Loaded from where they are installed, as an application would. */
const external = ['pg', 'pg-native', '@electric-sql/pglite', 'drizzle-orm', 'kysely', 'express', 'koa', 'vitest']

test.each(pages)('%s', { timeout: 300_000 }, async (page) => {
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  const wrong: string[] = []
  for (const match of text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)) {
    const code = match[1] ?? ''
    const expected = [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, line = '']) => line)
    if (expected.length === 0) continue // nothing to compare
    const line = text.slice(0, match.index).split('\n').length + 1
    const printed = await run(code)
    for (const each of expected)
      if (!matches(printed, each)) wrong.push(`${page}:${line}: ${each}\n---\n${printed.trim()}`)
  }
  expect(wrong.join('\n\n')).toBe('')
})

function matches(printed: string, expected: string): boolean {
  const pattern = expected
    .replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/ +/g, String.raw`\s+`)
    .replaceAll('4711', String.raw`\d+`)
    .replaceAll(/src\/[\w/\\.]+:\d+:\d+/g, String.raw`\S+:\d+:\d+(?: \(\S+\))?`)
    .replaceAll('…', '[^]*')
  return new RegExp(pattern).test(printed)
}

async function run(code: string): Promise<string> {
  const setup = /```sql\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs', 'quick-start.md'), 'utf8'))?.[1] ?? ''
  await using database = await freshDatabase(setup)
  const { url } = database
  await mkdir(join(root, '.build'), { recursive: true })
  const directory = await mkdtemp(join(root, '.build', 'docs-'))
  try {
    const outfile = join(directory, 'block.mjs')
    const entry = join(directory, 'block.ts')
    await writeFile(entry, code)
    await build({
      entryPoints: [entry],
      outfile,
      external,
      bundle: true,
      ignoreAnnotations: true, // an adapter registers itself
      platform: 'node',
      format: 'esm',
      target: 'node20',
      tsconfig: join(root, 'tsconfig.json'),
      logLevel: 'silent',
    })
    return await new Promise((resolve) => {
      execFile(
        process.execPath,
        [outfile],
        { env: { ...process.env, DATABASE_URL: url, REPORTING_URL: url }, timeout: 60_000 },
        (_, stdout, stderr) => resolve(`${stdout}\n${stderr.split('\n').slice(0, 12).join('\n')}`),
      )
    })
  } catch (error) {
    return String(error)
  } finally {
    await rm(directory, { recursive: true })
  }
}
