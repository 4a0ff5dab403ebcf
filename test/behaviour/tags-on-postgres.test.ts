/** Tags on PostgreSQL: in its views, and on statements that are prepared, stream, copy or change the session. */

import { createDb, type Db, type EngineOptions, QueryTimeoutError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, query } from '../support/database.ts'
import { pid } from '../support/matrix.ts'

const text = 'select current_query()'
const seen = (db: Db): Promise<unknown> => db.scalar(text)

describe.each(['pg', 'socket'])('%s', (driver) => {
  const open = async (options?: EngineOptions): Promise<Db> => {
    const url = await databaseUrl()
    return createDb(url, { ...options, driver }).open()
  }
  const single = (options?: EngineOptions): Promise<Db> => open({ ...options, pool: { max: 1 } })

  test('are left out where a text has a comment, changes the session, or begins or ends a transaction', async () => {
    await using db = await single({ query: { tags: { job: 'mail' } } })
    const handle = await db.acquire()

    expect(await handle.scalar(`${text};`)).toBe(`${text} /*job='mail'*/;`)

    expect(await handle.scalar(`${text} -- why`)).toBe(`${text} -- why`)
    expect(await handle.scalar(`/* why */ ${text}`)).toBe(`/* why */ ${text}`)
    await handle.status("set application_name = 'seen'")
    await handle.status('begin')
    await handle.status('savepoint a')
    expect(await caught(handle.status('select 1 / 0'))).toMatchObject({ code: 'GENEVER_QUERY' })
    await handle.status('rollback to savepoint a')
    await handle.status('commit')
    expect(await handle.scalar('show application_name')).toBe('seen')
    await handle.status('reset application_name')
    await handle.release()
  })

  test('stand behind the statements of cursors, and behind several in one text', async () => {
    await using db = await single({ query: { tags: { job: 'mail' } } })
    const rows: unknown[] = []
    for await (const row of db.iterate<{ shown: string }>('select current_query() as shown')) rows.push(row.shown)

    expect(rows).toEqual(["select current_query() as shown /*job='mail'*/"])
    const { rows: last } = await db.status<{ shown: string }>('select 1; select current_query() as shown')
    expect(last.at(-1)?.shown).toBe("select 1; select current_query() as shown /*job='mail'*/")
  })

  test('keep a statement prepared from its second run with them, and one run with each prepares nothing', async () => {
    await using db = await single()
    const prepared = (): Promise<string[]> =>
      db
        .all<{ statement: string }>('select statement from pg_prepared_statements')
        .then((all) => all.map(({ statement }) => statement).filter((each) => each.includes('/*')))
    const run = (job: string): Promise<unknown> => db.scope(() => seen(db), { query: { tags: { job } } })

    for (let i = 0; i < 30; i++) await run(`number ${i}`)
    expect(await prepared()).toEqual([])

    for (let i = 0; i < 3; i++) await run('mail')
    expect(await prepared()).toEqual([`${text} /*job='mail'*/`])
  })
  test('and the name of the application are what the server shows of a connection', async () => {
    await using db = await open({ applicationName: 'the shop', query: { tags: { job: 'mail' } } })

    await db.transaction(async () => {
      const process = await pid(db)
      await db.all('select 1 as one')
      const [shown] = await query(
        await databaseUrl(),
        'select application_name, query, state from pg_stat_activity where pid = $1',
        [process],
      )
      expect(shown).toEqual({
        application_name: 'the shop',
        query: "select 1 as one /*job='mail'*/",
        state: 'idle in transaction',
      })
    })
  })

  test('leave the limit of time of the frame around as it is, and it leaves them', async () => {
    await using db = await open()
    const tags = { step: '1' }

    const failed = await db.scope(
      () => caught(db.transaction(() => db.all('select pg_sleep(60)'), { query: { tags } })),
      { query: { timeoutMs: 300 } },
    )
    const shown = await db.scope(() => db.transaction(() => seen(db), { query: { timeoutMs: 60_000 } }), {
      query: { tags },
    })

    expect(failed).toBeInstanceOf(QueryTimeoutError)
    expect(shown).toBe(`${text} /*step='1'*/`)
  })

  test('stand behind a COPY', async () => {
    await using db = await open({ query: { tags: { job: 'mail' } } })
    let lines = ''
    for await (const piece of db.copyTo('select current_query()')) lines += String(Buffer.from(piece))

    expect(lines).toContain("/*job='mail'*/")
  })
})
