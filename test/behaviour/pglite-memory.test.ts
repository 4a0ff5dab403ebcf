/** What PGlite has answered does not stay in memory, one that breaks is not used any more, and one that is closed has ended. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDb } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { pgliteStart } from '../support/patience.ts'
import { runScript } from '../support/script.ts'

test('nothing stays of rows, statements and notices', async () => {
  const { code, stdout, stderr } = await runScript(
    `import { createDb } from 'genever'
    const db = await createDb('pglite://memory', { pool: { connectTimeoutMs: 100_000 } }).open()
    // What is garbage may be swept a little later: the least of some times.
    const megabytes = async () => {
      let least = Infinity
      for (let i = 0; i < 10; i++) {
        gc(); gc()
        const { heapUsed, external } = process.memoryUsage()
        least = Math.min(least, (heapUsed + external) / 1e6)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return least
    }
    const works = {
      rows: [20, () => db.all("select repeat('x', 1000) v from generate_series(1, 1000)")],
      statements: [5000, () => db.scalar('select 1')],
      notices: [20, () => db.status("do $$ begin for i in 1..1000 loop raise notice '%', repeat('n', 900); end loop; end $$")],
    }
    const kept = {}
    for (const [name, [count, work]] of Object.entries(works)) {
      for (let i = 0; i < 5; i++) await work()
      const before = await megabytes()
      for (let i = 0; i < count; i++) await work()
      kept[name] = (await megabytes()) - before
    }
    console.log(JSON.stringify(kept))
    await db.close()`,
    { timeoutMs: 100_000 },
  )
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const kept = JSON.parse(stdout) as Record<'rows' | 'statements' | 'notices', number>

  expect(kept.rows).toBeLessThan(8)
  expect(kept.statements).toBeLessThan(2)
  expect(kept.notices).toBeLessThan(8)
}, 120_000)

test('a statement in which PGlite breaks ends with an error, and what comes next has a new PGlite', async () => {
  const db = await createDb('pglite://memory', { pool: pgliteStart }).open()
  await db.status('create function rec(n int) returns int language plpgsql as $$ begin return rec(n + 1); end $$')
  expect(await caught(db.scalar('select rec(1)'))).toMatchObject({ code: 'GENEVER_PROTOCOL', outcome: 'unknown' })
  for (let round = 0; round < 3; round++) expect(await db.scalar('select 1')).toBe(1)
  await db.close({ timeoutMs: 5000 })
}, 120_000)

test('a directory keeps what was committed when PGlite breaks, and is free for the next one', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'genever-broken-'))
  try {
    const db = await createDb(`pglite:${directory}`, { pool: pgliteStart }).open()
    await db.status('create function rec(n int) returns int language plpgsql as $$ begin return rec(n + 1); end $$')
    await db.status('create table t (n int)')
    await db.status('insert into t values (7)')
    expect(await caught(db.scalar('select rec(1)'))).toMatchObject({ code: 'GENEVER_PROTOCOL' })
    expect(await db.scalar('select n from t')).toBe(7)
    await db.status('insert into t values (8)')
    await db.close()
    const later = await createDb(`pglite:${directory}`, { pool: pgliteStart }).open()
    expect(await later.scalar('select sum(n) from t')).toBe(15)
    await later.close()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}, 120_000)

test.each(['pglite://memory', 'pglite://memory/named', 'pglite:./directory'])(
  'close() waits until PGlite has ended, and leaves nothing that keeps the process: %s',
  async (url) => {
    const cwd = await mkdtemp(join(tmpdir(), 'genever-closed-'))
    const { stdout, stderr } = await runScript(
      `import { existsSync } from 'node:fs'
      import { createDb } from 'genever'
      const db = createDb(process.env.URL, { pool: { connectTimeoutMs: 100_000 } })
      await db.status('create table t (a int)')
      await db.status('insert into t values (1)')
      await db.close()
      console.log(process.getActiveResourcesInfo().includes('Timeout'), existsSync('directory/postmaster.pid'))`,
      { env: { URL: url }, cwd },
    )
    await rm(cwd, { recursive: true })

    expect([stdout, stderr]).toEqual(['false false', ''])
  },
)
