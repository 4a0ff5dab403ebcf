/** `npx genever` in a real terminal: colours, progress, the shell by its keys, Ctrl-C. */

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CommandProject, GOES_ON, hasTerminal, plain } from '../support/cli.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { postgresWords as words } from '../support/dialect-words.ts'
import { until } from '../support/until.ts'

let project: CommandProject
let database: FreshDatabase

beforeAll(async () => {
  project = await CommandProject.make()
  await project.write({
    'genever.config.mjs': `
      import { createDb } from 'genever'
      export default { db: () => createDb(process.env.APP_URL), migrations: 'migrations' }`,
  })
})
afterAll(() => project[Symbol.asyncDispose]())
beforeEach(async () => {
  database = await freshDatabase('create table t (n int); create schema a; create table a.t (n int)')
  return () => database.drop()
})
const app = (more: Record<string, string> = {}): { env: Record<string, string> } => ({
  env: { APP_URL: database.url, ...more },
})

test.skipIf(hasTerminal)('there is no `script` of util-linux here, so no terminal was tried', () => {})

describe.skipIf(!hasTerminal)('in a terminal', () => {
  test('the shell shows where lines run, has a history, and ends by Ctrl-D', async () => {
    const history = join(project.directory, 'history')
    const shell = project.start(['shell'], app({ GENEVER_HISTORY: history }))
    await shell.see('Available: db, sql. Top-level await works; .help has the commands.')
    await shell.see('genever> ')
    shell.type(`await db.scalar('select 6 * 7')\r`)
    await shell.see('\n42')
    await shell.see('genever> ')
    shell.type('.tenant a\r')
    await shell.see('genever a> ')
    shell.type('.begin\r')
    await shell.see('genever a *> ')
    shell.type('.sql insert into t values (1) returning n\r')
    await shell.see('1 row')
    await shell.see('genever a *> ')
    shell.type('.commit\r')
    await shell.see('COMMIT')
    await shell.see('genever a> ')
    // The arrow up, five times: the first line again.
    shell.type('\u001B[A'.repeat(5))
    await shell.see(`await db.scalar('select 6 * 7')`)
    shell.type('\r')
    await shell.see('\n42')
    shell.type('\u0004')

    expect(await shell.end()).toBe(0)
    expect(await database.query('select n from a.t')).toEqual([{ n: 1 }])
    expect(await readFile(history, 'utf8')).toContain('.tenant a')
    await rm(history)
  })

  test('the shell with --rollback leaves nothing behind, also when its terminal is gone', async () => {
    const shell = project.start(['shell', '--rollback', '--tenant', 'a'], app())
    await shell.see('Everything is rolled back at the end.')
    await shell.see('genever a *> ')
    shell.type(`await db.status('insert into t values (1)')\r`)
    await shell.see('INSERT')
    shell.type('.exit\r')

    expect(await shell.end()).toBe(0)
    expect(await database.query('select n from a.t')).toEqual([])
  })

  test('Ctrl-C gives up a line that was begun or that waits; twice on an empty line it ends the shell', async () => {
    const shell = project.start(['shell'], app())
    await shell.see('genever> ')
    shell.type('const open = 1 +\r')
    await shell.see(GOES_ON)
    shell.type('\u0003')
    await shell.see('genever> ')
    // What it prints says that it waits by now.
    shell.type(`await new Promise(() => setImmediate(() => console.log('waiting')))\r`)
    await shell.see('\nwaiting')
    shell.type('\u0003')
    await shell.see('interrupted')
    await shell.see('genever> ')
    shell.type('6 * 9\r')
    await shell.see('\n54')
    await shell.see('genever> ')
    shell.type('\u0003')
    await shell.see('To exit, press Ctrl+C again')
    shell.type('\u0003')

    expect(await shell.end()).toBe(0)
  })

  test('doctor is in colour, and is not with NO_COLOR', async () => {
    const coloured = project.start(['doctor'], app())
    expect(await coloured.end()).toBe(0)
    const bare = project.start(['doctor'], app({ NO_COLOR: '1' }))
    expect(await bare.end()).toBe(0)

    expect(coloured.shown).toContain('\u001B[32m✓')
    expect(bare.shown).not.toContain('\u001B[32m')
    expect(plain(coloured.shown)).toContain('0 wrong')
  })

  test('migrate writes its progress over itself, and Ctrl-C ends it between two statements', async () => {
    // So long that Ctrl-C comes before its end on any machine.
    const pauses = `${words.sleep(0.05)};`.repeat(400)
    await project.write({
      'migrations/1_first.sql': `create table u (n int); ${words.sleep(0.3)}`,
      'migrations/2_second.sql': `${pauses} insert into u values (1)`,
    })
    const run = project.start(['migrate'], app())
    await run.see('2/2 2_second (statement 1 of 401)')
    run.type('\u0003')

    expect(await run.end()).toBe(130)
    expect(run.shown).toContain('\r\u001B[K1/2 1_first (statement 1 of 2)')
    expect(plain(run.shown)).toContain('Stopped between two statements. Run it again to go on.')
    await until(async () => (await database.query('select name from genever_migrations')).length === 1)
    await project.write({ 'migrations/2_second.sql': 'insert into u values (1)' })
    const again = project.start(['migrate'], app())
    expect(await again.end()).toBe(0)
    expect(plain(again.shown)).toContain('1 applied, 0 failed.')
  })
})
