/**
 * `genever/next` in Next.js itself, by either of its bundlers: examples/next is built, started, and asked, with routes for
 * streams and `after()`.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, parse } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { root } from '../support/source.ts'
import { until } from '../support/until.ts'

const modules = join(root, 'node_modules')
const next = join(modules, 'next', 'dist', 'bin', 'next')
/** Next.js compiles with a program of its own, one for each platform; without it, it would try to download one. */
const compiler = existsSync(join(modules, '@next', `swc-${process.platform}-${process.arch}${glibc() ? '-gnu' : ''}`))

function glibc(): boolean {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime !== undefined
}

const packages = ['next', 'react', 'react-dom', 'typescript', '@types']

const extra: Readonly<Record<string, string>> = {
  'app/rows/route.js': `
    import { withDb } from 'genever/next'
    import { db } from '../../db.ts'
    export const GET = withDb(db, (_request) => {
      const rows = db.iterate('select n from generate_series(1, 20000) n')
      const lines = async function* () { for await (const { n } of rows) yield new TextEncoder().encode(n + ' ') }
      return new Response(ReadableStream.from(lines()))
    })`,
  'app/held/route.js': `
    import { db } from '../../db.ts'
    export const dynamic = 'force-dynamic'
    export const GET = () => Response.json({ held: db.stats().reserved })`,
  'app/after/route.js': `
    import { after } from 'next/server'
    import { withDb } from 'genever/next'
    import { db } from '../../db.ts'
    export const POST = withDb(db, async (_request) => {
      const outer = db.current
      after(withDb(db, async () => {
        const own = db.current !== undefined && db.current !== outer
        await db.status("insert into orders (bottle, count) values (1, $1)", [own ? 99 : -1])
      }))
      return Response.json({ ok: true })
    })`,
  'app/late/route.js': `
    import { after } from 'next/server'
    import { withDb } from 'genever/next'
    import { db } from '../../db.ts'
    const order = () => db.status('insert into orders (bottle, count) values (1, 55)')
    let told = 'nothing'
    export const GET = () => Response.json({ told })
    export const POST = withDb(db, async (_request) => {
      await db.scalar('select 1')
      after(() => order().catch((error) => { told = error.name }))
      return Response.json({ ok: true })
    }, { transaction: true })`,
  'app/fails/route.js': `
    import { withDb } from 'genever/next'
    import { db } from '../../db.ts'
    export const GET = withDb(db, (_request) => {
      const rows = db.iterate('select n from generate_series(1, 20000) n')
      const lines = async function* () {
        for await (const { n } of rows) {
          if (n === 5000) throw new Error('the body fails')
          yield new TextEncoder().encode(n + ' ')
        }
      }
      return new Response(ReadableStream.from(lines()))
    })`,
  'app/cached/route.js': `
    import { unstable_cache } from 'next/cache'
    import { withDb } from 'genever/next'
    import { db } from '../../db.ts'
    const counted = unstable_cache(() => db.scalar('select count(*)::int from orders'), ['orders'], { revalidate: 1 })
    export const GET = withDb(db, async (_request) => Response.json(await counted()))`,
  'app/actions/actions.js': `
    'use server'
    import { notFound, redirect } from 'next/navigation'
    import { withDb } from 'genever/next'
    import { db } from '../../db.ts'
    const order = (count) => db.status('insert into orders (bottle, count) values (1, $1)', [count])
    export const act = withDb(db, async (form) => {
      const what = form.get('what')
      await order(1000)
      if (what === 'inner') await db.transaction(async () => { await order(2000); redirect('/held') })
      if (what === 'redirect') redirect('/held')
      if (what === 'notFound') notFound()
      if (what === 'throw') throw new Error('on purpose')
    }, { transaction: true })`,
  'app/actions/page.js': `
    import { act } from './actions.js'
    export const dynamic = 'force-dynamic'
    export default function Page() { return <form action={act}><input name="what" /></form> }`,
  'app/many/page.js': `
    import { Suspense } from 'react'
    import { connection } from 'next/server'
    import { db } from '../../db.ts'
    async function One({ n }) {
      await connection()
      const [own, again] = await db.transaction(async () => [await db.scalar('select pg_backend_pid()'), await db.scalar('select pg_backend_pid()')])
      return <i>{own === again ? n + '!' : '?'}</i>
    }
    const many = Array.from({ length: 30 }, (_, n) => n)
    export default function Page() { return many.map((n) => <Suspense key={n}><One n={n} /></Suspense>) }`,
  'proxy.js': `
    import { NextResponse } from 'next/server'
    import { withDb } from 'genever/next'
    import { db } from './db.ts'
    export const proxy = withDb(db, async (_request) => {
      const response = NextResponse.next()
      response.headers.set('x-asked', await db.scalar("select 'the database'"))
      for (const name of ['one', 'two']) response.cookies.set(name, 'yes')
      return response
    })
    export const config = { matcher: '/many' }`,
}

const reason = 'The compiler of Next.js is not installed for this platform'

describe.each(['webpack', 'turbopack'])('built by %s', (bundler) => {
  let directory: string
  let database: FreshDatabase
  let server: ChildProcess | undefined
  let printed = ''
  let url = ''

  async function start(): Promise<void> {
    database = await freshDatabase()
    directory = await mkdtemp(join(tmpdir(), 'genever-next-'))
    const app = join(directory, 'next')
    for (const name of ['next', 'shop'])
      await cp(join(root, 'examples', name), join(directory, name), { recursive: true })
    for (const [path, text] of Object.entries(extra)) {
      await mkdir(join(app, path, '..'), { recursive: true })
      await writeFile(join(app, path), text)
    }
    // Packages are linked from outside of the application, which Turbopack has to be told.
    await rename(join(app, 'next.config.mjs'), join(app, 'next.config.example.mjs'))
    const config = `{ ...example, turbopack: { root: ${JSON.stringify(parse(directory).root)} } }`
    const text = `import example from './next.config.example.mjs'\nexport default ${config}\n`
    await writeFile(join(app, 'next.config.mjs'), text)
    const own = join(directory, 'node_modules', 'genever')
    await mkdir(own, { recursive: true })
    for (const name of packages) await symlink(join(modules, name), join(directory, 'node_modules', name))
    await build({
      entryPoints: { index: join(root, 'src', 'index.ts'), next: join(root, 'src', 'plugins', 'next', 'index.ts') },
      outdir: own,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
      logLevel: 'error',
    })
    const exports = { '.': './index.js', './next': './next.js' }
    await writeFile(join(own, 'package.json'), JSON.stringify({ name: 'genever', type: 'module', exports }))
    const env = {
      ...process.env,
      NODE_ENV: 'production' as const,
      NEXT_TELEMETRY_DISABLED: '1',
      DATABASE_URL: database.url,
    }
    await promisify(execFile)(process.execPath, [next, 'build', `--${bundler}`], { cwd: app, env, timeout: 240_000 })
    server = spawn(process.execPath, [next, 'start', '-p', '0', '-H', '127.0.0.1'], { cwd: app, env })
    for (const stream of [server.stdout, server.stderr]) stream?.on('data', (data) => (printed += String(data)))
    await until(() => /Ready in/.test(printed) && /http:\/\/127\.0\.0\.1:\d+/.test(printed), { timeoutMs: 120_000 })
    url = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0] ?? ''
  }

  async function ask(route: string, body?: object): Promise<{ status: number; text: string }> {
    const [method = '', path = ''] = route.split(' ')
    const more = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    const response = await fetch(`${url}${path}`, { method, ...more })
    return { status: response.status, text: await response.text() }
  }

  const nothingHeld = (): Promise<unknown> => until(async () => (await ask('GET /held')).text === '{"held":0}')

  beforeAll(async () => {
    if (compiler) await start()
  }, 400_000)

  afterAll(async () => {
    if (!compiler) return
    if (server !== undefined && server.exitCode === null) {
      server.kill()
      await once(server, 'exit')
    }
    await rm(directory, { recursive: true, force: true })
    await database.drop()
  })

  test('the shop answers, refuses and rolls back as in every framework', async ({ skip }) => {
    skip(!compiler, reason)
    expect(await ask('GET /ready')).toMatchObject({ status: 200 })
    expect(await ask('GET /bottles/1')).toMatchObject({
      status: 200,
      text: expect.stringContaining('"name":"Old genever"'),
    })
    expect(await ask('GET /bottles/7')).toEqual({ status: 404, text: '{"error":"Bottle is not found"}' })
    expect(await ask('GET /quotes/1')).toEqual({ status: 200, text: '{"name":"Old genever","dollars":27}' })
    const [before] = await database.query('select stock from bottles where id = 1')
    expect((await ask('POST /orders', { bottle: 1, count: 2 })).status).toBe(201)
    expect(await ask('POST /orders', { bottle: 2, count: 1 })).toMatchObject({ status: 409 })
    const [after] = await database.query('select stock from bottles where id = 1')

    expect(Number(before?.['stock']) - Number(after?.['stock'])).toBe(2)
    expect(await database.query('select count(*)::int from orders where bottle = 2')).toEqual([{ count: 0 }])
    await nothingHeld()
  })

  test('server components read rows, and what they do not find is the page for it', async ({ skip }) => {
    skip(!compiler, reason)

    expect(await ask('GET /')).toMatchObject({ status: 200, text: expect.stringContaining('<li>Old genever</li>') })
    expect(await ask('GET /labels/1')).toMatchObject({
      status: 200,
      text: expect.stringContaining('<h1>Old genever</h1>'),
    })
    expect((await ask('GET /labels/7')).status).toBe(404)
    await nothingHeld()
  })

  test('a body is streamed from a cursor, whose connection is back when it was read, and when the client leaves', async ({
    skip,
  }) => {
    skip(!compiler, reason)
    const { text } = await ask('GET /rows')
    expect(text.endsWith(' 20000 ')).toBe(true)
    await nothingHeld()

    const response = await fetch(`${url}/rows`)
    const reader = response.body!.getReader()
    await reader.read()
    await reader.cancel()
    await nothingHeld()
  })

  test('work of after() has a connection of its own', async ({ skip }) => {
    skip(!compiler, reason)
    expect((await ask('POST /after')).status).toBe(200)

    await until(async () => (await database.query('select from orders where count in (-1, 99)')).length > 0)
    expect(await database.query('select count from orders where count in (-1, 99)')).toEqual([{ count: 99 }])
  })

  test('work of after() that stayed in a transaction is refused, not lost in silence', async ({ skip }) => {
    skip(!compiler, reason)
    expect((await ask('POST /late')).status).toBe(200)

    await until(async () => (await ask('GET /late')).text === '{"told":"TransactionEndedError"}')
    expect(await database.query('select from orders where count = 55')).toEqual([])
  })

  test('a server action commits on redirect(), also through a nested transaction, which a throw undoes', async ({
    skip,
  }) => {
    skip(!compiler, reason)
    const [, field = ''] = /name="(\$ACTION_ID_\w+)"/.exec((await ask('GET /actions')).text) ?? []
    const acts = async (what: string): Promise<unknown> => {
      await database.query('delete from orders where count >= 1000')
      const form = new FormData()
      form.set(field, '')
      form.set('what', what)
      const { status } = await fetch(`${url}/actions`, { method: 'POST', body: form, redirect: 'manual' })
      const rows = await database.query('select count from orders where count >= 1000 order by 1')
      return [status, rows.map(({ count }) => count)]
    }

    expect(await acts('nothing')).toEqual([200, [1000]])
    expect(await acts('redirect')).toEqual([303, [1000]])
    expect(await acts('inner')).toEqual([303, [1000]])
    expect(await acts('notFound')).toEqual([404, []])
    expect(await acts('throw')).toEqual([500, []])
    await nothingHeld()
  })

  test('unstable_cache in a scope is refreshed behind the answer', async ({ skip }) => {
    skip(!compiler, reason)
    const before = Number((await ask('GET /cached')).text)
    await database.query('insert into orders (bottle, count) values (1, 77)')

    await until(async () => Number((await ask('GET /cached')).text) === before + 1)
    await nothingHeld()
  })

  test('components that render at once have a transaction each, behind a proxy that asks the database', async ({
    skip,
  }) => {
    skip(!compiler, reason)
    const response = await fetch(`${url}/many`)
    const text = await response.text()

    expect(response.headers.get('x-asked')).toBe('the database')
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching('one=yes'),
      expect.stringMatching('two=yes'),
    ])
    expect(text.match(/<i>(?:<!-- -->|\d)+!<\/i>/g)).toHaveLength(30)
    await nothingHeld()
  })

  test('a body that fails in its middle leaves no cursor open', async ({ skip }) => {
    skip(!compiler, reason)
    await expect(fetch(`${url}/fails`).then((response) => response.text())).rejects.toThrow()
    await nothingHeld()
  })
})
