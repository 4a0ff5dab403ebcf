/** `serve()`: databases around a server without hooks. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConnectError, createDb, type Db, PoolClosedError, UsageError } from 'genever'
import { type ClosableServer, createRegistry, serve } from 'genever/registry'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { deadPorts } from '../support/free-port.ts'
import { forEachDriver } from '../support/matrix.ts'
import { runScript } from '../support/script.ts'
import { until } from '../support/until.ts'

const none = { signals: [] } as const

/** A registry that was closed is as one that was never opened: it has no counts. */
function isOpen(db: Db): boolean {
  try {
    return db.stats().open > 0
  } catch {
    return false
  }
}

forEachDriver(
  (driver) => {
    test('the databases are open before it starts, and closed when it has closed', async () => {
      const registry = createRegistry({ main: await driver.url(), extra: { other: await driver.url() } })
      let opened = 0

      const server = await serve(
        registry,
        () => {
          opened = registry.stats().open + registry.using('other').stats().open
          return createServer(
            (_, response) => void registry.scalar('select 42').then((n) => response.end(String(n))),
          ).listen(0)
        },
        none,
      )
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const answer = await fetch(`http://127.0.0.1:${port}`, { headers: { connection: 'close' } })

      expect(opened).toBe(2)
      expect(await answer.text()).toBe('42')
      server.close()
      await until(() => !isOpen(registry))
    })

    test('a plain db and a list of them do too, around an object that only has close()', async () => {
      const first = createDb(await driver.url())
      const second = createDb(await driver.url())
      const worker: ClosableServer = { close: (done) => done?.() }

      const same = await serve([first, second], () => worker, none)
      expect(await first.scalar('select 1')).toBe(1)
      same.close()

      await until(() => !isOpen(first) && !isOpen(second))
      expect(await caught(first.scalar('select 1'))).toBeInstanceOf(PoolClosedError)
    })

    test('close() that returns a promise is waited for', async () => {
      const db = createDb(await driver.url())
      let end: () => void = () => {}
      const server = await serve(db, () => ({ close: () => new Promise<void>((resolve) => (end = resolve)) }), none)

      const closing = server.close()
      expect(await db.scalar('select 1')).toBe(1)
      end()
      await closing

      await until(() => !isOpen(db))
    })

    test('an error of start is passed on, and the databases are closed', async () => {
      const registry = createRegistry({ main: await driver.url() })

      const error = await caught(serve(registry, () => Promise.reject(new Error('no port')), none))

      expect(error.message).toBe('no port')
      expect(isOpen(registry)).toBe(false)
    })

    test('a database that cannot be opened keeps it from starting', async () => {
      const reached = createDb(await driver.url())
      const away = createDb(`postgres://127.0.0.1:${deadPorts[0]}/nowhere`, { retry: { limit: 0 } })
      let started = false

      const error = await caught(
        serve(
          [reached, away],
          () => {
            started = true
            return createServer()
          },
          none,
        ),
      )

      expect(error).toBeInstanceOf(ConnectError)
      expect(started).toBe(false)
      expect(isOpen(reached)).toBe(false)
      await away.close()
    })

    test('a signal lets running requests be answered, then closes the databases and lets the process exit', async () => {
      const { code, stdout } = await runScript(
        `import { createServer } from 'node:http'
     import { createRegistry, serve } from 'genever/registry'
     const registry = createRegistry({ main: process.env.URL })
     const server = await serve(registry, () => createServer((_, response) => {
       process.kill(process.pid, 'SIGTERM')
       void registry.scalar('select 42 from (${driver.words.sleep(0.2)}) as pause').then((n) => response.end(String(n)))
     }).listen(0, '127.0.0.1'))
     await new Promise((resolve) => server.listening ? resolve() : server.once('listening', resolve))
     const answer = await fetch('http://127.0.0.1:' + server.address().port)
     console.log(await answer.text())
     process.on('exit', () => { try { console.log(registry.stats().open) } catch (error) { console.log(error.name) } })`,
        { env: { URL: await driver.url() } },
      )

      expect({ code, stdout }).toEqual({ code: 0, stdout: '42\nNotBoundError' })
    })

    test('what is no db, no function and no server is refused by name', async () => {
      const db = createDb(await driver.url())
      const wrong = serve as (...given: unknown[]) => Promise<unknown>

      expect((await caught(wrong({}, () => createServer()))).message).toMatch(/serve\(\) takes a db/)
      expect((await caught(wrong(db, createServer()))).message).toMatch(/a function that starts the server/)
      expect((await caught(wrong(db, () => createServer(), { signals: ['TERM'] }))).message).toMatch(/signals/)
      const nothing = await caught(wrong(db, () => undefined, none))
      expect(nothing).toBeInstanceOf(UsageError)
      expect(nothing.message).toMatch(/returns the server/)
    })
  },
  { connections: 2 },
)
