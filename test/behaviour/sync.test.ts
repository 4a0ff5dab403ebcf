/** `genever/sync`: a database for code that cannot await, by a worker that the thread waits for. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forEachDriver, type TestedDatabase } from '../support/matrix.ts'
import { runScript, type ScriptEnd } from '../support/script.ts'
import { root } from '../support/source.ts'

forEachDriver(
  (driver) => {
    const { words } = driver
    const one = words.placeholder(1)
    const tenant = words.setting('app.tenant')
    let database: TestedDatabase
    beforeAll(async () => {
      database = await driver.fresh(
        'create table t (id int primary key, name text)',
        "insert into t values (1, 'a'), (2, 'b')",
        'create table late as select 1 as n',
      )
    })
    afterAll(() => database[Symbol.asyncDispose]())

    /** Runs the text as a script with `sync`, `db` and the test's URL at hand; what it logs comes back, a value a line. */
    async function script(text: string, options: { timeoutMs?: number } = {}): Promise<ScriptEnd> {
      const head = `
    import { createDb, isGeneverError, UniqueViolationError } from 'genever'
    import { openSync, runSync } from 'genever/sync'
    const url = process.env.URL_OF_TEST
    const caught = (work) => { try { return work() } catch (error) { return error } }
    const show = (value) => console.log(JSON.stringify(value))
  `
      return runScript(head + text, { env: { URL_OF_TEST: database.url }, ...options })
    }

    async function printed(text: string): Promise<unknown[]> {
      const { code, stdout, stderr } = await script(text)
      expect(stderr).toBe('')
      expect(code).toBe(0)
      return stdout.split('\n').map((line) => JSON.parse(line) as unknown)
    }

    describe('a sync database', () => {
      test('gives what the async methods would, and lets the process end', async () => {
        expect(
          await printed(`
        const sync = openSync(url)
        show(sync.all('select id, name from t order by id'))
        show(sync.first('select name from t where id = ${one}', [2]))
        show(sync.first('select name from t where id = 99') === undefined)
        show(sync.one('select 1 as n'))
        show(sync.oneOrNone('select name from t where id = :id', { id: 1 }))
        show(sync.scalar('select count(*) from t'))
        show(sync.scalar('select current_timestamp') instanceof Date)
        show(sync.status("update t set name = name where id = 1"))
      `),
        ).toEqual([
          [
            { id: 1, name: 'a' },
            { id: 2, name: 'b' },
          ],
          { name: 'b' },
          true,
          { n: 1 },
          { name: 'a' },
          2,
          true,
          { command: 'UPDATE', rowCount: 1 },
        ])
      })

      test('does not keep the process alive when nobody closes it', async () => {
        expect(await printed("const sync = openSync(url); show(sync.scalar('select 1'))")).toEqual([1])
      })

      test('throws the errors of the async methods, of their classes, with the line of the call', async () => {
        const [unique, syntax, connect] = (await printed(`
      const sync = openSync(url)
      const duplicate = caught(function theCaller() { sync.status('insert into t values (1, ${one})', ['hunter2']) })
      show([duplicate instanceof UniqueViolationError, duplicate.name, duplicate.code, duplicate.sqlState, duplicate.constraint,
        duplicate.outcome, isGeneverError(duplicate, 'CONSTRAINT_VIOLATION'), duplicate.stack.includes('theCaller'),
        JSON.stringify(duplicate).includes('hunter2')])
      show(caught(() => sync.scalar('selec 1')).code)
      const dead = openSync('postgres://nobody@127.0.0.1:1/x')
      show(caught(() => dead.scalar('select 1')).code)
    `)) as [unknown[], unknown, unknown]

        expect(unique).toEqual([
          true,
          'UniqueViolationError',
          'GENEVER_UNIQUE_VIOLATION',
          driver.name === 'mysql' ? '23000' : '23505',
          driver.name === 'mysql' ? 'PRIMARY' : 't_pkey',
          'rolled_back',
          true,
          true,
          false,
        ])
        expect([syntax, connect]).toEqual(['GENEVER_SQL_SYNTAX', 'GENEVER_CONNECT'])
      })

      test('gives up at its deadline, drops the late answer, and stays usable', async () => {
        expect(
          await printed(`
        const read = 'select n from late for update'
        const holder = await createDb(url).begin()
        await holder.scalar(read)
        const hasty = openSync(url, { timeoutMs: 300 })
        caught(() => hasty.scalar('select 1'))
        const late = caught(() => hasty.scalar(read))
        show([late.name, late.code, late.outcome])
        await holder.commit()
        const answers = new Set()
        for (let tries = 0; tries < 100 && !answers.has(42); tries++)
          answers.add(caught(() => hasty.scalar('select 42')))
        show([...answers].filter((answer) => !(answer instanceof Error)))
      `),
        ).toEqual([['SyncTimeoutError', 'GENEVER_SYNC_TIMEOUT', 'unknown'], [42]])
      })

      test('takes the settings of the scope around a call along', async () => {
        expect(
          await printed(`
        const db = createDb(url)
        const sync = openSync(url)
        const tenant = "${tenant}"
        show(await db.scope(() => sync.scalar(tenant), { settings: { 'app.tenant': '7' } }))
        show(await db.scope(() => db.scope(() => sync.scalar(tenant)), { settings: { 'app.tenant': '8' } }))
        show(await db.scope(() => db.detached(() => sync.scalar(tenant)), { settings: { 'app.tenant': '9' } }))
        show(sync.scalar(tenant))
      `),
        ).toEqual(['7', '8', expect.toBeOneOf([null, '']), expect.toBeOneOf([null, ''])])
      })

      test('is refused inside of a transaction, and after it was closed', async () => {
        expect(
          await printed(`
        const db = createDb(url)
        const sync = openSync(url)
        show(await db.transaction(() => caught(() => sync.scalar('select 1')).message.includes('inside of a transaction')))
        show(await db.transaction(() => db.scope(() => caught(() => openSync(url)).code)))
        sync[Symbol.dispose]()
        sync.close()
        show(caught(() => sync.scalar('select 1')).message.includes('was closed'))
      `),
        ).toEqual([true, 'GENEVER_USAGE', true])
      })

      test('one inside of another has a worker of its own, and its end leaves the outer one', async () => {
        expect(
          await printed(`
        const outer = openSync(url)
        const pid = outer.scalar('${words.session}')
        const inner = openSync(url)
        show(inner.scalar('${words.session}') === pid)
        inner[Symbol.dispose]()
        show(outer.scalar('${words.session}') === pid)
      `),
        ).toEqual([false, true])
      })

      test('names what cannot be sent to the worker, and stays usable', async () => {
        expect(
          await printed(`
        const sync = openSync(url)
        show(caught(() => sync.scalar('select ${one}', [() => 1])).code)
        show(caught(() => sync.scalar({ sql: 'x' })).message.includes('Built queries'))
        show(caught(() => openSync({ password: () => 'x' })).message.includes('option setup'))
        show(caught(() => openSync(undefined)).message.includes('environment variable'))
        show(caught(() => openSync(url, { timeout: 1 })).code)
        show(sync.scalar('select 1'))
      `),
        ).toEqual(['GENEVER_USAGE', true, true, true, 'GENEVER_INVALID_OPTION', 1])
      })

      test('notices beside a server that it makes others wait', async () => {
        const { code, stderr } = await script(`
      import { createServer } from 'node:http'
      const server = createServer(() => {}).listen(0)
      await new Promise((done) => server.on('listening', done))
      const sync = openSync(url)
      process.on('warning', (warning) => { console.error(warning.code); server.close() })
      sync.scalar('select 1')
    `)

        expect(code).toBe(0)
        expect(stderr).toContain('sync-beside-server')
      })
    })

    describe('functions of a module', () => {
      let directory: string
      const files = {
        'own.mjs': `
      import { createDb } from '../DIST/index.js'
      export const db = createDb(process.env.URL_OF_TEST)
      export const names = async (from) => db.transaction((tx) => tx.all('select name from t where id >= ${one} order by id', [from]))
      export const tenant = () => db.scalar("${tenant}")
      export const fails = async () => { throw new RangeError('not that many') }
      export const throws = () => { throw 'a string' }
      export const functions = () => () => 1
      export const ends = () => process.exit(3)
      export const dies = () => { setImmediate(() => { throw new Error('uncaught') }); return new Promise(() => {}) }
      export const nested = async () => { const { openSync } = await import('../DIST/sync/index.js'); return openSync('postgres://x') }
    `,
        'unbound.mjs': `
      import { createDb } from '../DIST/index.js'
      export const db = createDb()
      export const one = () => db.scalar('select 1')
    `,
        'setup.mjs': `export const options = { onConnect: (connection) => connection.status("${words.set('app.setup', 'yes')}") }`,
      }
      beforeAll(async () => {
        await mkdir(join(root, '.build'), { recursive: true })
        directory = await mkdtemp(join(root, '.build', 'sync-'))
      })
      afterAll(() => rm(directory, { recursive: true, force: true }))

      /** The modules import the build that the script runs on. */
      const withModules = async (text: string): Promise<unknown[]> => {
        for (const [name, source] of Object.entries(files)) await writeFile(join(directory, name), source)
        const base = pathToFileURL(directory).href
        return printed(`
      import { readFileSync, writeFileSync } from 'node:fs'
      import { basename, dirname } from 'node:path'
      const dist = basename(dirname(new URL(import.meta.url).pathname)) + '/dist'
      for (const name of ${JSON.stringify(Object.keys(files))}) {
        const file = new URL('${base}/' + name)
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll('DIST', dist))
      }
      const at = (name) => new URL('${base}/' + name)
      ${text}
    `)
      }

      test('run in the worker, with transactions, on the database of the module', async () => {
        expect(
          await withModules(`
        const sync = openSync('postgres://nobody@127.0.0.1:1/x')
        const own = sync.module(at('own.mjs'))
        show(own.names(1))
        show(runSync(at('own.mjs'), 'names', [2]))
        const db = createDb(url)
        show(await db.scope(() => own.tenant(), { settings: { 'app.tenant': '7' } }))
      `),
        ).toEqual([[{ name: 'a' }, { name: 'b' }], [{ name: 'b' }], '7'])
      })

      test('have the database of openSync where their own is unbound', async () => {
        expect(
          await withModules(`
        const sync = openSync(url, {})
        const unbound = sync.module(at('unbound.mjs'))
        show([unbound.one(), unbound.one()])
      `),
        ).toEqual([[1, 1]])
      })

      test('fail with what they threw', async () => {
        expect(
          await withModules(`
        const sync = openSync(url)
        const own = sync.module(at('own.mjs'))
        const range = caught(() => own.fails())
        show([range instanceof RangeError, range.message])
        show(caught(() => own.throws()).message)
        show(caught(() => own.functions()).message.includes('cannot be sent back'))
        show(caught(() => own.missing()).message.includes('no function "missing"'))
        show(caught(() => own.nested()).message.includes('in the worker of genever/sync itself'))
        show(own.names(2))
      `),
        ).toEqual([
          [true, 'not that many'],
          'The function threw a string, no error.',
          true,
          true,
          true,
          [{ name: 'b' }],
        ])
      })

      test('that end the worker are told at once, and the next one is another', async () => {
        expect(
          await withModules(`
        for (const name of ['ends', 'dies']) {
          const sync = openSync(url, { timeoutMs: 600_000 })
          const own = sync.module(at('own.mjs'))
          const error = caught(() => own[name]())
          show([error.name, caught(() => sync.scalar('select 1')).name])
          sync.close()
        }
        caught(() => runSync(at('own.mjs'), 'ends', []))
        show(runSync(at('own.mjs'), 'names', [2]))
      `),
        ).toEqual([['SyncWorkerError', 'SyncWorkerError'], ['SyncWorkerError', 'SyncWorkerError'], [{ name: 'b' }]])
      })

      test('may be preceded by a module that completes the options', async () => {
        expect(
          await withModules(`
        const sync = openSync(url, { setup: at('setup.mjs') })
        show(sync.scalar("${words.setting('app.setup')}"))
      `),
        ).toEqual(['yes'])
      })
    })
  },
  { connections: 2 },
)
