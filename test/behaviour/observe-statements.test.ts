/** What is told of statements: all of them, with what came of them, and never a value of a parameter. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, test } from 'vitest'
import { statementStartChannel } from '../../src/observe/channels.ts'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('a statement tells its engine, connection, text, times and rows', async () => {
    const db = await driver.db({ name: 'told', pool: { max: 1 } })
    const raw = await pid(db)
    const table = await driver.table('n int')
    await db.status(`insert into ${table} values (1), (2), (3), (4)`)
    const text = `select * from ${table} where n <= ${driver.words.placeholder(1)}`
    using heard = hear('told')

    await db.all(text, [3])

    expect(heard.statements).toEqual([
      {
        id: heard.starts[0]?.id,
        engine: 'told',
        server: expect.objectContaining({ system: driver.words.system }),
        connection: driver.name !== 'pglite' ? raw : expect.any(Number),
        transaction: null,
        implicit: true,
        operation: 'SELECT',
        sql: text,
        parameters: 1,
        waitMs: expect.any(Number),
        durationMs: expect.any(Number),
        rowCount: 3,
        returnedRows: 3,
      },
    ])
    expect(heard.starts).toEqual([{ id: heard.starts[0]?.id, engine: 'told' }])
    expect(heard.statements[0]?.durationMs).toBeGreaterThan(0)
  })

  test('statements of every surface are told once each: implicit, scope, handle, transaction, template, cursor', async () => {
    const db = await driver.db({ name: 'surfaces' })
    const table = await driver.table('n int')
    using heard = hear('surfaces')

    await db.status(`insert into ${table} values (1), (2)`)
    await db.scope(() => db.first(`select 'scope'`))
    const handle = await db.acquire()
    await handle.scalar(`select 'handle'`)
    await handle.release()
    await db.transaction(async (tx) => {
      await tx.all(`select 'transaction'`)
      await db.sql`select upper(${'secret'})`
    })
    await db.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[3], [4]])
    for await (const _row of db.iterate(`select * from ${table}`, [], { batchSize: 10 }));
    const several = driver.words.several ? [['', true, 1, 'select 1; select 2']] : []
    if (several.length > 0) await db.status('select 1; select 2')

    expect(
      heard.statements.map(({ operation, implicit, rowCount, sql }) => [operation, implicit, rowCount, sql]),
    ).toMatchObject([
      ['INSERT', true, 2, `insert into ${table} values (1), (2)`],
      ['SELECT', false, 1, `select 'scope'`],
      ['SELECT', false, 1, `select 'handle'`],
      ['SELECT', false, 1, `select 'transaction'`],
      ['SELECT', false, 1, `select upper(${driver.words.placeholder(1)})`],
      ['INSERT', false, 1, `insert into ${table} values (${driver.words.placeholder(1)})`],
      ['INSERT', false, 1, `insert into ${table} values (${driver.words.placeholder(1)})`],
      ['SELECT', false, 4, `select * from ${table}`],
      ...several,
    ])
    expect(heard.starts.map(({ id }) => id)).toEqual(heard.statements.map(({ id }) => id))
    expect(JSON.stringify(heard)).not.toContain('secret')
  })

  test('rows that were changed are not rows that were returned', async () => {
    const db = await driver.db({ name: 'changed' })
    const table = await driver.table('n int')
    using heard = hear('changed')

    await db.status(`insert into ${table} values (1), (2)`)
    await db.all(`insert into ${table} values (3), (4) returning n`)
    await db.first(`select * from ${table}`)

    expect(heard.statements.map(({ rowCount, returnedRows }) => [rowCount, returnedRows])).toEqual([
      [2, 0],
      [2, 2],
      [1, 1],
    ])
  })

  test('one that failed tells the code of the server and what became of it', async () => {
    const db = await driver.db({ name: 'failing' })
    using heard = hear('failing')

    await caught(db.all('select * from nowhere'))
    await db.transaction(() => caught(db.all(`select exp(${driver.words.placeholder(1)})`, [1000]))).catch(() => {})

    expect(heard.statements).toMatchObject([
      { error: driver.words.noTable, outcome: 'rolled_back', rowCount: 0, implicit: true },
      { error: driver.words.outOfRange, outcome: 'rolled_back', rowCount: 0, implicit: false },
    ])
  })

  test('one that never got a connection tells why, and how long it waited', async () => {
    const db = await driver.single({ name: 'starved' })
    const held = await db.acquire()
    using heard = hear('starved')

    await caught(db.all('select 1', [], { timeoutMs: 20 }))
    await held.release()
    await caught(held.all('select 2'))

    expect(heard.statements).toMatchObject([
      { error: 'acquire-timeout', outcome: 'not_started', connection: null, durationMs: 0, sql: 'select 1' },
      { error: 'usage', outcome: 'not_started', connection: null, durationMs: 0, sql: 'select 2' },
    ])
    expect(heard.statements[0]?.waitMs).toBeGreaterThan(0)
  })

  test('the start of a statement is told in the context of its caller', async () => {
    const db = await driver.db({ name: 'caller' })
    const request = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const look = (): void => void seen.push(request.getStore())
    statementStartChannel.subscribe(look)
    try {
      await Promise.all([
        request.run('a', () => db.scalar('select 1')),
        request.run('b', () => db.transaction(() => db.scalar('select 2'))),
        request.run('c', async () => {
          for await (const _row of db.iterate('select 3'));
        }),
      ])
    } finally {
      statementStartChannel.unsubscribe(look)
    }

    expect(new Set(seen)).toEqual(new Set(['a', 'b', 'c']))
  })
})

test('a statement whose connection dies says so', async () => {
  await using server = await fake({ tables: { t: [] } }, { name: 'dying' })
  using heard = hear('dying')
  server.driver.faults.at('insert', { lost: true })

  await caught(server.db.status('insert into t values (1)'))

  expect(heard.statements).toMatchObject([{ error: 'lost', outcome: 'unknown', connection: 1 }])
})

test('a statement that was given up is told once, when its caller is told', async () => {
  await using server = await fake({ tables: { t: [] } }, { name: 'late' })
  using heard = hear('late')
  server.driver.faults.at('select', { hang: true })

  await caught(server.db.all('select * from t', [], { timeoutMs: 10 }))
  const told = [...heard.statements]
  await server.db.all('select * from t')

  expect(told).toMatchObject([{ error: 'timeout', outcome: 'unknown' }])
  expect(heard.statements).toHaveLength(2)
})
