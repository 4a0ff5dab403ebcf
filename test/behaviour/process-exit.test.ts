/** What keeps a process alive: somebody who waits for an answer; nothing else. */

import { expect, test } from 'vitest'
import { type Words } from '../support/dialect-words.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'
import { runScript, type ScriptEnd } from '../support/script.ts'

/** Runs a script with a db named `db`; how it ended. A process that waits in vain at its top ends with code 13. */
async function run(driver: TestedDriver, text: string, options = ''): Promise<Pick<ScriptEnd, 'code' | 'stdout'>> {
  const url = driver.name === 'pglite' ? 'pglite://memory' : await driver.url()
  const script = `
    import { createDb, createEngine } from 'genever'
    const db = createDb(process.env.URL, { pool: { max: 1, idleTimeoutMs: Infinity, connectTimeoutMs: 100_000 }, ${options} })
    ${text}`
  const { code, stdout, stderr } = await runScript(script, { env: { URL: url } })
  return { code, stdout: stdout + stderr }
}

const finished = (words: Words): Readonly<Record<string, string>> => ({
  'it only made a db': `console.log('end')`,
  'it ran statements, with much time': `
    await db.scalar('select 1', [], { timeoutMs: 600_000 })
    await db.transaction((tx) => tx.scalar('select 2'))
    await db.scope(() => db.scalar('select 3'), { settings: { 'app.a': '1' } })
    console.log('end')`,
  'it never released a connection': `
    const leaked = await db.acquire()
    await leaked.scalar('select 1')
    console.log('end')`,
  'it left a manual transaction and a cursor open': `
    const tx = await db.begin()
    await tx.iterate('${words.series(9)}', [], { batchSize: 1 }).read()
    console.log('end')`,
  'it closed its db': `await db.open(); await db.close(); console.log('end')`,
})

const waiting: Readonly<Record<string, readonly [text: string, stdout: string]>> = {
  'a connection, until its deadline': [
    `const held = await db.acquire()
     await db.acquire({ timeoutMs: 300 }).catch((error) => console.log(error.name))`,
    'AcquireTimeoutError',
  ],
  'what was issued before the first engine of the process was there, although close() follows at once': [
    `const issued = Promise.all([
       db.scalar('select 1'),
       db.scope(() => db.scalar('select 2')),
       db.transaction((tx) => tx.scalar('select 3')),
     ])
     await db.close()
     console.log(JSON.stringify(await issued))`,
    '[1,2,3]',
  ],
  'a statement nobody awaits': [`db.scalar('select 7').then(console.log)`, '7'],
  'a transaction to end, until its deadline': [
    `const connection = await db.acquire()
     await connection.begin()
     await connection.run(() => db.scalar('select 1', [], { timeoutMs: 300 })).catch((error) => console.log(error.code))`,
    'GENEVER_TRANSACTION_STATE',
  ],
  'close(), until its deadline': [
    `const leaked = await db.acquire()
     const { broken } = await db.close({ timeoutMs: 300 })
     console.log(broken.length)`,
    '1',
  ],
}

forEachDriver((driver) => {
  // PGlite takes its seconds to start, and has neither sockets nor timers of its own: one script of each kind will do.
  const some = <T>(cases: Readonly<Record<string, T>>): [string, T][] =>
    Object.entries(cases).filter(([name]) => driver.name !== 'pglite' || /never released|a connection/.test(name))

  test.each(some(finished(driver.words)))('a finished script ends without close(): %s', async (_, text) => {
    expect(await run(driver, text)).toEqual({ code: 0, stdout: 'end' })
  })

  test.each(some(waiting))('a process goes on while somebody waits for %s', async (_, [text, stdout]) => {
    expect(await run(driver, text)).toEqual({ code: 0, stdout })
  })
})

forEachDriver(
  (driver) => {
    test('a process goes on while a statement runs', async () => {
      const text = `console.log((await db.all('${driver.words.sleep(0.3)}')).length)`

      expect(await run(driver, text)).toEqual({ code: 0, stdout: '1' })
    })

    test('a process goes on while a database that is not there is tried again', async () => {
      const text = `await createEngine('postgres://nobody@127.0.0.1:1/nothing', { retry: { limit: 1, intervalMs: 300 } })
        .catch((error) => console.log(error.name))`

      expect(await run(driver, text)).toEqual({ code: 0, stdout: 'ConnectError' })
    })

    test('a process goes on while a lost connection cannot be opened again, until the deadline of who waits', async () => {
      const text = `
        import { createServer, connect } from 'node:net'
        const target = new URL(process.env.URL)
        const port = Number(target.port)
        let lively = true
        const sockets = new Set()
        const proxy = createServer((socket) => {
          sockets.add(socket.unref())
          socket.on('error', () => {})
          if (!lively) return socket.destroy()
          const through = connect(port, target.hostname).unref()
          through.on('error', () => {})
          socket.pipe(through).pipe(socket)
        }).listen(0, '127.0.0.1').unref()
        await new Promise((resolve) => proxy.once('listening', resolve))
        target.port = proxy.address().port
        const engine = await createEngine(target.href)
        lively = false
        for (const socket of sockets) socket.destroy()
        while (engine.stats().open > 0) await new Promise((resolve) => setTimeout(resolve, 5))
        await engine.acquire({ timeoutMs: 600 }).catch((error) => console.log(error.name, error.phase))`

      expect(await run(driver, text)).toEqual({ code: 0, stdout: 'AcquireTimeoutError connect' })
    })
  },
  { connections: 2 },
)
