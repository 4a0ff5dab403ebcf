/** Several processes, threads and copies of a module with one database: each has connections of its own, and gives them back. */

import { expect, test } from 'vitest'
import { freshDatabase, onServer, type FreshDatabase } from '../support/database.ts'
import { runScript, type ScriptEnd } from '../support/script.ts'
import { until } from '../support/until.ts'

const name = 'genever-processes'

const run = (database: FreshDatabase, text: string): Promise<ScriptEnd> =>
  runScript(text, { env: { URL: database.url, NAME: name }, timeoutMs: 50_000 })

const backends = async ({ name: database }: FreshDatabase): Promise<number> =>
  (await onServer('select 1 from pg_stat_activity where datname = $1 and application_name = $2', [database, name]))
    .length

test('a forked process shares no socket with its parent: both work, and the end of one does nothing to the other', async () => {
  await using database = await freshDatabase()

  const { code, stdout, stderr } = await run(
    database,
    `
    import { fork } from 'node:child_process'
    import { readdirSync, readlinkSync } from 'node:fs'
    import { once } from 'node:events'
    import { fileURLToPath } from 'node:url'
    import { createDb } from 'genever'

    const sockets = () => process.platform === 'linux'
      ? readdirSync('/proc/self/fd').filter((fd) => Number(fd) > 2).flatMap((fd) => {
          try { return [readlinkSync('/proc/self/fd/' + fd)] } catch { return [] }
        }).filter((to) => to.startsWith('socket:'))
      : []
    const db = await createDb(process.env.URL, { pool: { max: 3 }, applicationName: process.env.NAME }).open()
    const held = await Promise.all([1, 2, 3].map(() => db.acquire()))
    const pids = () => Promise.all(held.map((connection) => connection.scalar('select pg_backend_pid()')))
    const own = new Set(await pids())

    if (process.send !== undefined) {
      process.send({ pids: [...own], sockets: sockets() })
      process.on('message', (how) => how === 'die' ? process.kill(process.pid, 'SIGKILL') : process.exit())
    } else {
      for (const how of ['die', 'exit']) {
        const child = fork(fileURLToPath(import.meta.url))
        const [told] = await once(child, 'message')
        const mine = sockets()
        const shared = [...told.pids.filter((pid) => own.has(pid)), ...told.sockets.filter((s) => mine.includes(s))]
        child.send(how)
        await once(child, 'exit')
        const after = await pids()
        console.log(how, told.pids.length, shared.length, after.every((pid) => own.has(pid)))
      }
      for (const connection of held) await connection.release()
    }`,
  )

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'die 3 0 true\nexit 3 0 true', stderr: '' })
  await until(async () => (await backends(database)) === 0, { what: 'no backend is left' })
})

test('workers of a cluster and threads have pools of their own, each within its max', async () => {
  await using database = await freshDatabase()

  const { code, stdout, stderr } = await run(
    database,
    `
    import cluster from 'node:cluster'
    import { once } from 'node:events'
    import { isMainThread, parentPort, Worker } from 'node:worker_threads'
    import { fileURLToPath } from 'node:url'
    import { createDb } from 'genever'

    const db = createDb(process.env.URL, { pool: { max: 2 }, applicationName: process.env.NAME })
    const pids = async () => [...new Set(await Promise.all(
      [1, 2, 3, 4, 5, 6].map(() => db.scalar('select pg_backend_pid() from pg_sleep(0.03)'))))]

    if (!isMainThread) {
      parentPort.postMessage(await pids())
      await once(parentPort, 'message')
      await db.close()
      parentPort.close()
    } else if (cluster.isWorker) {
      process.send(await pids())
      process.once('message', () => db.close().then(() => process.disconnect()))
    } else {
      cluster.setupPrimary({ exec: fileURLToPath(import.meta.url) })
      const others = [cluster.fork(), cluster.fork(), new Worker(new URL(import.meta.url))]
      const told = await Promise.all(others.map(async (other) => (await once(other, 'message'))[0]))
      const all = [...await pids(), ...told.flat()]
      const ends = others.map((other) => once(other, 'exit'))
      for (const other of others) (other.send ?? other.postMessage).call(other, 'end')
      await Promise.all(ends)
      console.log(told.length, told.every((pids) => pids.length <= 2), new Set(all).size === all.length)
      console.log(await db.scalar('select 7'))
    }`,
  )

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '3 true true\n7', stderr: '' })
  await until(async () => (await backends(database)) === 0, { what: 'no backend is left' })
})

/** What a bundler does for every change: the module is evaluated anew, its copy before is dropped. */
const reload = (module: string, use: string): string => `
  const source = ${JSON.stringify(module)}.replace('PACKAGE', new URL(PACKAGE, import.meta.url).href)
  const load = (n) => import('data:text/javascript,' + encodeURIComponent(source + '// ' + n))
  const copies = []
  ${use}`

const packaged = (text: string): string =>
  `import { createDb } from 'genever'\nconst PACKAGE = './dist/index.js'\n${text}`

test('a module that keeps its db on globalThis has one pool, however often it is evaluated', async () => {
  await using database = await freshDatabase()
  const module = `
    import { createDb } from 'PACKAGE'
    export const db = (globalThis.db ??= createDb(process.env.URL, { pool: { max: 3 }, applicationName: process.env.NAME }))`

  const { code, stdout, stderr } = await run(
    database,
    packaged(
      reload(
        module,
        `
        const pids = new Set()
        for (let n = 0; n < 50; n++) {
          const { db } = await load(n)
          for (const pid of await Promise.all([1, 2, 3, 4].map(() => db.scalar('select pg_backend_pid() from pg_sleep(0.005)')))) pids.add(pid)
          copies.push(db)
        }
        console.log(new Set(copies).size, pids.size <= 3, copies[0].stats().open <= 3)`,
      ),
    ),
  )

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1 true true', stderr: '' })
})

test('engines of one URL are apart: each keeps to its max, closing one leaves the others, and one that was dropped lets go', async () => {
  await using database = await freshDatabase()
  const module = `
    import { createDb } from 'PACKAGE'
    export const db = createDb(process.env.URL, { pool: { max: 2, idleTimeoutMs: 400 }, applicationName: process.env.NAME })`

  const { code, stdout, stderr } = await run(
    database,
    packaged(
      reload(
        module,
        `
        const main = createDb(process.env.URL, { pool: { max: 1 } })
        const backends = () => main.scalar("select count(*)::int from pg_stat_activity where datname = current_database() and application_name = $1", [process.env.NAME])
        const gone = async (limit) => {
          for (const end = Date.now() + 30_000; (await backends()) > limit && Date.now() < end;) await new Promise((r) => setTimeout(r, 20))
          return backends()
        }
        process.on('warning', ({ name }) => console.log(name))
        let most = 0
        let left = 0
        const use = (db) => Promise.all([1, 2, 3, 4].map((n) => db.scalar('select $1::int from pg_sleep(0.005)', [n])))
        for (let n = 0; n < 20; n++) {
          const { db } = await load(n)
          await use(db)
          most = Math.max(most, await backends())
          await db.close()
          left += await gone(0)
        }
        console.log(most <= 2, left)
        const [first, second] = [(await load('a')).db, (await load('b')).db]
        await Promise.all([use(first), use(second)])
        await first.close()
        console.log((await use(second)).join(), (await gone(2)) <= 2)
        for (let n = 30; n < 50; n++) await use((await load(n)).db)
        console.log(await gone(0))`,
      ),
    ),
  )

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'true 0\n1,2,3,4 true\n0', stderr: '' })
})
