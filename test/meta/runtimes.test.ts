/** The built package on other runtimes, unchanged: one program prints the same on each of them. */

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildPackage } from '../support/built.ts'
import { freshDatabase } from '../support/database.ts'
import { type OwnServer, secureServer } from '../support/own-server.ts'
import { root } from '../support/source.ts'

const run = promisify(execFile)
const installed = join(root, 'node_modules', '.bin')

/** How a program of the current directory is run there. */
const runtimes: Readonly<Record<string, readonly [command: string, ...args: string[]]>> = {
  'Node.js': [process.execPath],
  Bun: [join(installed, 'bun')],
  Deno: [join(installed, 'deno'), 'run', '--allow-all', '--quiet'],
}

const program = `
import { createDb } from 'genever'

const said = []
const db = createDb(process.argv[2], { pool: { max: 4 } })
const failing = (work) => work.then(() => 'no error', (error) => [error.name, error.sqlState ?? error.code])

await db.status('create table t (id int primary key, name text, at timestamptz, tags text[], doc jsonb, data bytea, big int8)')
const row = [1, 'é', new Date(86_400_000), ['a', 'b "c"'], { x: [1, null] }, new Uint8Array([0, 255]), 2 ** 40]
await db.status('insert into t values ($1, $2, $3, $4, $5, $6, $7)', row)
const read = await db.one('select * from t')
said.push([read.id, read.name, read.at.toISOString(), read.tags, read.doc, [...read.data], read.big])

said.push(await db.transaction(async () => {
  await db.status("insert into t (id, name) values (2, 'two')")
  const inner = await failing(db.transaction(() => db.status('insert into t (id) values (2)')))
  return [inner, await db.scalar('select count(*)::int from t')]
}))
said.push(await failing(db.transaction(async () => {
  await db.status('insert into t (id) values (3)')
  throw new TypeError('mine')
})), await db.scalar('select count(*)::int from t'))

// Reads that are known to be quick share connections and a Sync; every answer is its own.
for (let n = 0; n < 5; n++) await db.scalar('select 10 / $1::int', [1])
const answers = await Promise.all(Array.from({ length: 300 }, (_, n) => db.scalar('select 10 / $1::int', [n % 3]).catch((error) => error.sqlState)))
said.push([...new Set(answers)].map(String).sort())

const numbers = []
for await (const { n } of db.iterate('select n from generate_series(1, 1000) n', [], { batchSize: 100 })) numbers.push(n)
said.push(numbers.length, numbers.at(-1))

said.push(await failing(db.scalar('select pg_sleep(60)', [], { timeoutMs: 1_000 })), await db.scalar('select 7'))
const scopes = await Promise.all(Array.from({ length: 20 }, () => db.scope(async () => {
  const first = await db.scalar('select pg_backend_pid()')
  await db.transaction(() => new Promise((resolve) => setTimeout(resolve, 1)))
  return first === (await db.scalar('select pg_backend_pid()'))
})))
said.push(scopes.every((same) => same))
const heard = []
const listening = await db.listen('news', ({ payload }) => heard.push(payload))
await db.notify('news', 'hello')
while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
await listening.unlisten()
said.push(heard, db.stats().reserved)
await db.close()

// TLS by request and from the first byte: a login that is bound to it, data both ways in pieces, and a statement that is stopped.
for (const way of ['', '&sslnegotiation=direct']) {
  const secure = createDb(process.argv[3] + way, { pool: { max: 2 } })
  await secure.status('drop table if exists copied; create table copied (n int, t text)')
  const rows = function* () {
    for (let n = 0; n < 5_000; n++) yield n + '\\t' + 'é'.repeat(100) + '\\n'
  }
  const sent = await secure.copyFrom('copied').from(rows())
  let bytes = 0
  for await (const piece of secure.copyTo('copied')) bytes += piece.length
  const stopped = await failing(secure.scalar('select pg_sleep(60)', [], { timeoutMs: 1_000 }))
  const long = await secure.scalar('select length($1::text)', ['é'.repeat(1_000_000)])
  said.push([await secure.scalar('select ssl from pg_stat_ssl where pid = pg_backend_pid()'), sent, bytes, stopped[0], long])
  await secure.close()
}
console.log(JSON.stringify(said))
`

let application = ''
let secure: OwnServer

beforeAll(async () => {
  application = await mkdtemp(join(tmpdir(), 'genever-runtimes-'))
  const library = join(application, 'node_modules', 'genever')
  await mkdir(library, { recursive: true })
  await buildPackage(library)
  await writeFile(join(application, 'package.json'), '{ "type": "module" }')
  await writeFile(join(application, 'main.js'), program)
  secure = await secureServer()
  await secure.query('create database secure owner secure')
}, 120_000)

afterAll(async () => {
  await secure[Symbol.asyncDispose]()
  await rm(application, { recursive: true, force: true })
})

const expected = [
  [1, 'é', '1970-01-02T00:00:00.000Z', ['a', 'b "c"'], { x: [1, null] }, [0, 255], 2 ** 40],
  [['UniqueViolationError', '23505'], 2],
  ['TypeError', null],
  2,
  ['10', '22012', '5'],
  1000,
  1000,
  ['QueryTimeoutError', 'GENEVER_QUERY_TIMEOUT'],
  7,
  true,
  ['hello'],
  0,
  [true, 5_000, 1_028_890, 'QueryTimeoutError', 1_000_000],
  [true, 5_000, 1_028_890, 'QueryTimeoutError', 1_000_000],
]

test.each(Object.entries(runtimes))('%s gives the answers that it should', async (_, [command, ...args]) => {
  await using database = await freshDatabase()
  const { port } = new URL(secure.url)
  const ofTls = `postgres://secure:secret@127.0.0.1:${port}/secure?sslmode=require&channel_binding=require`

  const { stdout, stderr } = await run(command, [...args, 'main.js', database.url, ofTls], { cwd: application })

  expect([JSON.parse(stdout), stderr]).toEqual([expected, ''])
})
