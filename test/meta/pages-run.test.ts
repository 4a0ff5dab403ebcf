/** Blocks fenced as `ts run` are programs: they run, end by themselves, and print what stands behind their lines as `// → …`. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { runScript } from '../support/script.ts'
import { root } from '../support/source.ts'

const docs = join(root, 'docs')
const programs = readdirSync(docs)
  .filter((name) => name.endsWith('.md'))
  .flatMap((page) => {
    const text = readFileSync(join(docs, page), 'utf8')
    return [...text.matchAll(/^```ts run\n([\s\S]*?)^```$/gm)].map((match) => ({
      at: `${page}:${text.slice(0, match.index).split('\n').length}`,
      code: match[1] ?? '',
    }))
  })

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'genever-pages-'))
  mkdirSync(join(directory, 'migrations'))
  writeFileSync(join(directory, 'migrations', '0001_notes.sql'), 'create table notes (text text)')
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('the programs of the pages', () => {
  test.each(programs)('run: $at', async ({ code }) => {
    await using database = await freshDatabase(
      "create table users (id serial primary key, name text); insert into users (name) values ('Ada'), ('Grace'); create table tenants (url text)",
    )
    const { code: plain } = await transform(code, { loader: 'ts', format: 'esm', target: 'es2022' })
    // Quotes as runScript looks for them.
    const text = plain.replaceAll(/from "(genever[^"]*)"/g, "from '$1'")
    const end = await runScript(text, { env: { DATABASE_URL: database.url }, cwd: directory })
    const expected = [...code.matchAll(/\/\/ → (.*)$/gm)].map(([, line]) => line)

    expect({ ...end, stdout: end.stdout === '' ? [] : end.stdout.split('\n') }).toEqual({
      code: 0,
      stdout: expected,
      stderr: '',
    })
  })

  test('are there', () => {
    expect(programs.length).toBeGreaterThan(3)
  })
})
