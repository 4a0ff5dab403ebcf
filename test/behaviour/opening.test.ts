/** How a database is named and opened: URLs, options, functions of them, and what happens when it cannot be reached. */

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import {
  AuthenticationError,
  ConnectError,
  createDb,
  createEngine,
  type EngineOptions,
  type EngineSource,
  InvalidOptionError,
  InvalidUrlError,
} from 'genever'
import { describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, onServer } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver, isolationOf, pid } from '../support/matrix.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { wantedDrivers } from '../support/extent.ts'

/** Opens, asks for the name of the database, and closes. */
async function nameOf(source: EngineSource, options?: EngineOptions): Promise<unknown> {
  await using db = await createDb(source, options).open()
  return await db.scalar('select current_database()')
}

/** A port whose server hangs up on everybody. */
async function deadPort(): Promise<{ server: Server; port: number; attempts: () => number }> {
  let attempts = 0
  const server = createServer((socket) => {
    attempts++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { server, port: (server.address() as AddressInfo).port, attempts: () => attempts }
}

describe.skipIf(!wantedDrivers().includes('socket'))('over a network', () => {
  test('a URL, its parts as options, and a function giving either open the same database', async () => {
    const text = await databaseUrl()
    const url = new URL(text)
    const database = url.pathname.slice(1)
    const parts: EngineOptions = {
      host: url.hostname,
      port: Number(url.port),
      user: url.username,
      database,
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    }

    const names = [
      await nameOf(text),
      await nameOf(text.replace('postgres:', 'postgresql:')),
      await nameOf(text.replace('postgres:', 'socket:')),
      await nameOf(text.replace('postgres:', 'pg:')),
      await nameOf(parts),
      await nameOf({ ...parts, driver: 'socket' }),
      await nameOf({ ...parts, driver: 'pg' }),
      await nameOf(text, { driver: 'pg' }),
      await nameOf(() => text),
      await nameOf(() => parts),
      await nameOf(() => Promise.resolve(text)),
      await nameOf(() => Promise.resolve(parts)),
      await nameOf(text, { pool: { max: 1 } }),
    ]

    expect(new Set(names)).toEqual(new Set([database]))
  })

  test('options of the URL are honoured, and what is not understood is refused together', async () => {
    const url = await databaseUrl()
    await using db = await createDb(`${url}?application_name=gin&options=-c%20work_mem%3D5MB`).open()

    const error = await caught(createDb(`${url}?sslmode=sometimes&pool_size=3&frob=1`).open())

    expect([await db.scalar('show application_name'), await db.scalar('show work_mem')]).toEqual(['gin', '5MB'])
    expect(error).toBeInstanceOf(InvalidUrlError)
    expect(['sslmode', 'pool_size', 'frob'].filter((name) => !error.message.includes(name))).toEqual([])
  })

  test('createEngine() fails at once when nobody answers, and so does open()', async () => {
    const { port } = await deadPort()
    for (const driver of ['pg', 'socket']) {
      const url = `${driver}://nobody@127.0.0.1:${port}/nothing`

      const errors = [await caught(createEngine(url)), await caught(createDb(url).open())]

      expect(errors.map((error) => error instanceof ConnectError)).toEqual([true, true])
      expect(errors[0]?.message).toContain(`Could not connect to postgres://nobody@127.0.0.1:${port}/nothing: `)
      expect(errors[0]?.message).toContain('Check that the server runs')
    }
  })

  test('retry.limit is the number of further attempts', async () => {
    const attempts: number[] = []
    for (const limit of [undefined, 0, 1, 3]) {
      const dead = await deadPort()
      const url = `postgres://nobody@127.0.0.1:${dead.port}/nothing`
      await caught(createEngine(url, { retry: { limit, intervalMs: 1 } }))
      attempts.push(dead.attempts())
    }

    expect(attempts).toEqual([1, 1, 2, 4])
  })

  test('a database that comes up late is opened by a later attempt', async () => {
    const name = `late_${process.pid}`
    const url = (await databaseUrl()).replace(/[^/]+$/, name)
    const { port, server } = await deadPort()
    const opening = createDb(url.replace(/:\d+\//, `:${port}/`), { retry: { limit: 5_000, intervalMs: 20 } }).open()
    await onServer(`create database ${name}`)
    onTestFinished(() => onServer(`drop database ${name} with (force)`).then(() => {}))
    const target = new URL(url)
    server.removeAllListeners('connection').on('connection', (socket) => {
      const through = connect(Number(target.port), target.hostname)
      socket.pipe(through).pipe(socket)
      socket.on('error', () => through.destroy())
      through.on('error', () => socket.destroy())
    })

    await using db = await opening

    expect(await db.scalar('select current_database()')).toBe(name)
  })

  test('after a failed open the db can be opened once the database is there', async () => {
    const name = `later_${process.pid}`
    const db = createDb((await databaseUrl()).replace(/[^/]+$/, name))

    await expect(db.open()).rejects.toThrow(ConnectError)
    await onServer(`create database ${name}`)
    onTestFinished(() => onServer(`drop database ${name} with (force)`).then(() => {}))

    expect(await db.scalar('select current_database()')).toBe(name)
    await db.close()
  })

  test('a function is asked again for every attempt to open', async () => {
    const urls = ['postgres://nobody@127.0.0.1:1/nothing', await databaseUrl()]
    const db = createDb(() => urls.shift() as string)

    await expect(db.open()).rejects.toThrow(ConnectError)

    expect(await db.scalar('select 1')).toBe(1)
    await db.close()
  })

  test('a password function is asked for every connection, and a wrong answer is an AuthenticationError', async () => {
    const role = `keeper_${process.pid}`
    await onServer(`create role ${role} login password 'right'`)
    onTestFinished(() => onServer(`drop role ${role}`).then(() => {}))
    const url = (await databaseUrl()).replace('//postgres@', `//${role}@`)
    let answer = 'right'
    let asked = 0
    const password = (): Promise<string> => {
      asked++
      return Promise.resolve(answer)
    }
    await using db = await createDb(url, { password, pool: { max: 3 } }).open()
    await using one = await db.acquire()
    await using two = await db.acquire()
    answer = 'wrong'

    const error = await caught(db.acquire())
    const refused = await caught(createEngine(url, { password: 'wrong', retry: { limit: 5, intervalMs: 60_000 } }))

    expect([one.borrowed, two.borrowed, asked]).toEqual([true, true, 3])
    expect([error, refused].map((each) => each instanceof AuthenticationError)).toEqual([true, true])
    expect(`${error.message} ${refused.message}`).not.toMatch(/right|wrong/)
  })

  test('no password shows in what is printed or thrown', async () => {
    const url = (await databaseUrl()).replace('//postgres@', '//postgres:s3cret@')
    await using db = await createDb(url).open()

    const error = await caught(createDb(url.replace(/[^/]+$/, 'no_such_database')).open())

    const shown = [inspect(db, { depth: 9 }), String(db), inspect(error, { depth: 9 }), JSON.stringify(db)]
    expect(shown.filter((text) => text.includes('s3cret'))).toEqual([])
  })
})

forEachDriver((driver) => {
  test('unknown and wrong options are refused together, before anything is opened', async () => {
    const options = { frob: 1, pool: { max: 0, min_size: 5 }, retryLimit: 3, echo: 'loud' } as unknown as EngineOptions

    const error = await caught(createDb(await driver.url(), options).open())

    expect(error).toBeInstanceOf(InvalidOptionError)
    const names = (error as unknown as InvalidOptionError).options.map(({ name }) => name).toSorted()
    expect(names).toEqual(['echo', 'frob', 'pool.max', 'pool.min_size', 'retryLimit'])
  })

  test('an isolation level may be written in several ways, and one there is not is refused before anything is opened', async () => {
    const db = await driver.single({ isolation: 'REPEATABLE_READ' })

    const error = await caught(createDb(await driver.url(), { isolation: 'sometimes' }).open())

    expect(await isolationOf(db)).toBe('repeatable read')
    expect(error.message).toMatch(/isolation.*serializable/)
  })

  test('the isolation level is there at every use of a connection, whatever was reset in between', async () => {
    const db = await driver.single({ isolation: 'serializable' })
    const seen = [await isolationOf(db), await db.transaction(isolationOf)]

    await db.scope(async () => {
      await db.status(driver.words.setIsolation('read committed'))
      await db.status(driver.words.set('app.name', 'other'))
    })
    await using connection = await db.acquire()
    for (const text of driver.words.discards) await connection.status(text)
    await connection.release({ permanent: false, discardSession: true })

    expect([...seen, await isolationOf(connection)]).toEqual(['serializable', 'serializable', 'serializable'])
  })

  test('concurrent and repeated calls of open() open once, and give the db', async () => {
    const db = createDb(await driver.url())

    const opened = await Promise.all([db.open(), db.open()])
    opened.push(await db.open())

    expect(opened.map((each) => each === db)).toEqual([true, true, true])
    expect(db.stats().open).toBe(1)
    await db.close()
  })
})

forEachDriver(
  (driver) => {
    test('a connection killed while it is idle is replaced without a word', async () => {
      const db = await driver.single()
      const own = await pid(db)
      await driver.kill(own)
      await until(() => db.stats().open === 0)

      expect(await pid(db)).not.toBe(own)
    })
  },
  { connections: 2 },
)

describe.skipIf(!wantedDrivers().includes('pglite'))('pglite', () => {
  test('a database in memory without a name is private', async () => {
    await using one = await createDb('pglite://memory', { pool: pgliteStart }).open()
    await one.status('create table only_here (n int)')
    await using other = await createDb('pglite://memory', { pool: pgliteStart }).open()

    expect(await other.scalar(`select to_regclass('only_here')`)).toBeNull()
  })

  test('a database in memory with a name is shared by all who give it', async () => {
    await using one = await createDb('pglite://memory/shared', { pool: pgliteStart }).open()
    await one.status('create table everywhere (n int)')
    await using other = await createDb({ driver: 'pglite', memory: 'shared', pool: pgliteStart }).open()

    await other.status('insert into everywhere values (1)')

    expect(await one.scalar('select n from everywhere')).toBe(1)
  })

  test('a directory keeps its data, and one engine at a time has it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'genever-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const url = `pglite:${directory}`
    const first = await createDb(url, { pool: pgliteStart }).open()
    await first.status('create table kept as select 7 as n')

    const error = await caught(createDb({ directory, pool: pgliteStart }).open())
    await first.close()
    await using second = await createDb({ directory, pool: pgliteStart }).open()

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toContain('in use')
    expect(await second.scalar('select n from kept')).toBe(7)
  })
})

test('the longest idle connections above pool.min are closed, and pool.min are kept open', async () => {
  await using server = await fake({}, { pool: { min: 2, max: 5, idleTimeoutMs: 60 } })
  const { db } = server
  const handles = await Promise.all(Array.from({ length: 5 }, () => db.acquire()))
  await Promise.all(handles.map((handle) => handle.release()))

  await until(() => db.stats().open === 2)

  expect([db.stats().idle, server.driver.openCount]).toEqual([2, 2])
})
