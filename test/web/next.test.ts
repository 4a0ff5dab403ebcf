/** `genever/next` without a server: scopes around actions. */

import { AbortedError, createDb, type Db, InvalidOptionError, NotFoundError } from 'genever'
import { getOrNotFound, health, withDb } from 'genever/next'
import { expectTypeOf } from 'expect-type'
import { redirect } from 'next/navigation.js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { doing, pid, quiet } from '../support/matrix.ts'

let db: Db

beforeEach(async () => {
  db = await createDb(await databaseUrl(), { pool: { max: 3 } }).open()
  await db.status('drop table if exists next_notes; create table next_notes (text text)')
})
afterEach(async () => {
  expect((await db.close()).broken).toEqual([])
})

const note = (text: string): Promise<unknown> => db.status('insert into next_notes values ($1)', [text])
const notes = async (): Promise<unknown[]> =>
  (await db.all('select text from next_notes order by 1')).map(({ text }) => text)
const ask = (signal?: AbortSignal): Request => new Request('http://localhost/', signal === undefined ? {} : { signal })
const digestOf = (error: Error): unknown => (error as { digest?: unknown }).digest

describe('withDb', () => {
  test('is a scope for each call, lazy, shared by all within, also by other actions', async () => {
    const inner = withDb(db, async (name: string) => [name, await pid(db)] as const)
    const outer = withDb(db, async () => {
      const borrowed = db.current?.borrowed
      const [, own] = await inner('a')
      return { borrowed, same: own === (await pid(db)), pid: own, current: db.current }
    })
    expectTypeOf(inner).toEqualTypeOf<(name: string) => Promise<readonly [string, number]>>()
    const { current, ...seen } = await outer()
    await quiet(db)

    expect(seen).toEqual({ borrowed: false, same: true, pid: expect.any(Number) })
    expect((await outer()).current).not.toBe(current)
    await quiet(db)
  })

  test('has its tags behind its statements', async () => {
    const seen = 'select current_query()'
    const tagged = withDb(db, () => db.scalar(seen), { tags: { route: '/api/notes' } })

    expect(await tagged()).toBe(`${seen} /*route='%2Fapi%2Fnotes'*/`)
    expect(() => withDb(db, () => 1, { tags: { route: 7 as never } })).toThrow('must be a text')
  })

  test('with holdForRequest each of two calls at once has a connection, which it keeps', async () => {
    const met = [gate(), gate()]
    const meeting = withDb(
      db,
      async (number: 0 | 1) => {
        const own = await pid(db)
        met[number]?.open()
        await Promise.all(met.map(({ promise }) => promise))
        return [own, await pid(db)]
      },
      { holdForRequest: true },
    )
    const [[first, firstAgain], [second, secondAgain]] = await Promise.all([meeting(0), meeting(1)])

    expect([firstAgain, secondAgain]).toEqual([first, second])
    expect(first).not.toBe(second)
    await quiet(db)
  })

  test('has the settings of its call, and refuses options that are not its own', async () => {
    const tenant = withDb(db, async (_name: string) => db.scalar("select current_setting('app.tenant', true)"), {
      settingsForRequest: ([name]) => ({ 'app.tenant': name }),
    })

    expect(await Promise.all([tenant('a'), tenant('b')])).toEqual(['a', 'b'])
    for (const options of [{ transactoin: true }, { url: 'postgres://localhost/shop' }])
      expect(() => withDb(db, () => 1, options as object)).toThrow(InvalidOptionError)
  })

  test('keeps the connection for the body of its response, until it was read or given up', async () => {
    const rows = withDb(db, (_request: Request) => {
      const cursor = db.iterate<{ n: number }>('select n from generate_series(1, 5000) n')
      const texts = async function* (): AsyncGenerator<Uint8Array> {
        for await (const { n } of cursor) yield new TextEncoder().encode(`${n} `)
      }
      return new Response(ReadableStream.from(texts()), { status: 203, headers: { 'x-kept': 'yes' } })
    })
    const response = await rows(ask())
    expect((await response.text()).endsWith(' 5000 ')).toBe(true)
    await quiet(db)
    const given = (await rows(ask())).body!.getReader()
    await given.read()
    expect(doing(db)).toMatch(/^1 lent/)
    await given.cancel()

    expect([response.status, response.headers.get('x-kept')]).toEqual([203, 'yes'])
    await quiet(db)
  })

  test('gives up the body of an answer to HEAD, which nobody reads', async () => {
    const begun = gate()
    const GET = withDb(db, (_request: Request) => {
      const rows = db.iterate<{ n: number }>('select n from generate_series(1, 5000) n')[Symbol.asyncIterator]()
      const body = new ReadableStream({
        // Called at once, before anybody reads.
        async pull(controller) {
          const { value } = await rows.next()
          begun.open()
          controller.enqueue(new TextEncoder().encode(`${value!.n} `))
        },
        async cancel() {
          await begun.promise
          await rows.return?.()
        },
      })
      return new Response(body, { status: 203, headers: { 'x-kept': 'yes' } })
    })
    const response = await GET(new Request('http://localhost/', { method: 'HEAD' }))

    expect([response.status, response.headers.get('x-kept'), response.body]).toEqual([203, 'yes', null])
    await quiet(db)
  })

  test('cancels its statements with the request, if the option says so', async () => {
    const [begun, left] = [gate(), new AbortController()]
    const sleep = withDb(
      db,
      async (_request: Request) => {
        const sleeping = db.scalar('select pg_sleep(60)')
        begun.open()
        return sleeping
      },
      { onAbort: 'cancel' },
    )
    const error = caught(sleep(ask(left.signal)))
    await begun.promise
    left.abort()

    expect(await error).toBeInstanceOf(AbortedError)
    await quiet(db)
  })

  test('answers requests for what is not found by a 404 with the message, and is notFound() in other actions', async () => {
    const missing = async (_of: unknown): Promise<unknown> => {
      await pid(db)
      throw new NotFoundError('Bottle is not found')
    }
    const response = (await withDb(db, missing)(ask())) as Response
    const error = await caught(withDb(db, missing)(new FormData()))

    expect([response.status, await response.json()]).toEqual([404, { error: 'Bottle is not found' }])
    expect(digestOf(error)).toBe('NEXT_HTTP_ERROR_FALLBACK;404')
    await quiet(db)
  })

  test('commits its transaction before it settles, on redirect() too, and rolls back on all other failures', async () => {
    const act = withDb(
      db,
      async (end: string): Promise<Response | string> => {
        await note(end)
        if (end === 'redirect') redirect('/')
        if (end === 'throw') throw new RangeError('boom')
        if (end === 'missing') throw new NotFoundError('Bottle is not found')
        if (end === 'swallow') await db.scalar('select 1 / 0').catch(() => {})
        if (end === 'network error') return Response.error()
        return end === 'conflict' ? new Response(null, { status: 409 }) : end
      },
      { transaction: true },
    )
    expect(await act('ok')).toBe('ok')
    expect(await notes()).toEqual(['ok'])
    expect(digestOf(await caught(act('redirect')))).toContain('NEXT_REDIRECT')
    expect(await notes()).toEqual(['ok', 'redirect'])
    expect(((await act('conflict')) as Response).status).toBe(409)
    expect(((await act('network error')) as Response).type).toBe('error')
    for (const end of ['throw', 'missing', 'swallow']) await caught(act(end))

    expect(await notes()).toEqual(['ok', 'redirect'])
    await quiet(db)
  })
})

test('getOrNotFound gives what was found, and ends the request when nothing was', async () => {
  const found = getOrNotFound(db.sql<{ one: number }>`select 1 as one`.oneOrNone())
  expectTypeOf(found).toEqualTypeOf<Promise<{ one: number }>>()
  const nothing = [
    getOrNotFound(db.sql`select 1 where false`.oneOrNone()),
    getOrNotFound(null),
    getOrNotFound(Promise.reject(new NotFoundError('Bottle is not found'))),
  ].map(caught)

  expect(await found).toEqual({ one: 1 })
  expect(await getOrNotFound(0)).toBe(0)
  for (const none of nothing) expect(digestOf(await none)).toBe('NEXT_HTTP_ERROR_FALLBACK;404')
  expect(await caught(getOrNotFound(Promise.reject(new RangeError('boom'))))).toBeInstanceOf(RangeError)
})

test('readiness is a route handler', async () => {
  const response = await health(db)()

  expect([response.status, response.headers.get('cache-control'), await response.json()]).toMatchObject([
    200,
    'no-store',
    { status: 'ok', pool: { max: 3 } },
  ])
})
