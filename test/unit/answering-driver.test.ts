/** The fake driver that the package ships: it knows transactions and cursors, and the test says what a statement gives. */

import { createDb, QueryError } from 'genever'
import { FakeDriver, type FakeRows } from 'genever/testing'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'

test('the answer function gives rows, counts and errors, and sees parameters and session', async () => {
  const seen: unknown[] = []
  const driver = new FakeDriver({
    answer(text, params, session) {
      seen.push([text, params, session.id])
      if (text.startsWith('select')) return [{ id: 1 }, { id: 2 }]
      return text.startsWith('update') ? { tag: 'UPDATE', count: 3 } : { error: '23505', fields: { constraint: 'u' } }
    },
  })
  await using db = await createDb({ driver }).open()

  expect(await db.all('select id from t where a = $1', ['x'])).toEqual([{ id: 1 }, { id: 2 }])
  expect(await db.status('update t set a = 1')).toMatchObject({ command: 'UPDATE', rowCount: 3 })
  expect(await caught(db.status('insert into t values (1)'))).toMatchObject({ code: 'GENEVER_UNIQUE_VIOLATION' })
  expect(seen[0]).toEqual(['select id from t where a = $1', ['x'], 1])
})

test('rows that are lists have the names of the answer, or numbers', async () => {
  const named: Record<string, FakeRows> = {
    named: { rows: [[1, 'Ada']], columns: ['id', 'name'], tag: 'SELECT', count: 1 },
    bare: { rows: [[1, 'Ada']], tag: 'SELECT', count: 1 },
  }
  await using db = await createDb({ driver: new FakeDriver({ answer: (text) => named[text] }) }).open()

  expect(await db.all('named')).toEqual([{ id: 1, name: 'Ada' }])
  expect(await db.all('bare')).toEqual([{ column1: 1, column2: 'Ada' }])
})

test('a statement without an answer is an error that says so', async () => {
  await using db = await createDb({ driver: new FakeDriver() }).open()

  expect(await db.scalar('select 1')).toBe(1)
  const error = await caught(db.all('select * from t'))
  expect([error instanceof QueryError, error.message]).toEqual([
    true,
    'the fake server has no answer to this statement',
  ])
})

test('transactions, savepoints and their ends are those of a server', async () => {
  const driver = new FakeDriver({ answer: (text) => (text === 'bad' ? { error: '40001' } : []) })
  await using db = await createDb({ driver }).open()

  await db.transaction(async (tx) => {
    await tx.status('one')
    await caught(db.transaction(() => db.status('bad')))
    await tx.status('two')
  })
  driver.faults.at('COMMIT', { lost: '57P01' })
  expect(await caught(db.transaction(() => db.status('three')))).toMatchObject({
    code: 'GENEVER_COMMIT_OUTCOME_UNKNOWN',
  })

  expect(driver.log.map((line) => line.replace(/genever_\w+/g, 's'))).toEqual([
    '1: BEGIN; one',
    '1: SAVEPOINT "s"; bad',
    '1: ROLLBACK TO SAVEPOINT "s"; RELEASE SAVEPOINT "s"; two',
    '1: COMMIT',
    '1: <reset unknown>',
    '1: BEGIN; three',
    '1: COMMIT',
  ])
})

test('a cursor reads the answer of its query in batches', async () => {
  const driver = new FakeDriver({ answer: () => [{ n: 1 }, { n: 2 }, { n: 3 }] })
  await using db = await createDb({ driver }).open()
  const read: unknown[] = []

  for await (const row of db.iterate('select n from t', [], { batchSize: 2 })) read.push(row)

  expect(read).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  expect(driver.log.filter((line) => line.includes('FETCH')).length).toBeGreaterThan(1)
})

test('settings of scopes are answered, and what a session holds is seen in its text', async () => {
  const driver = new FakeDriver({ answer: () => [[7]] })
  await using db = await createDb({ driver }).open()

  expect(await db.scope(() => db.scalar('select a from t'), { settings: { 'app.tenant': '7' } })).toBe(7)
  expect(String(driver.sessions[0])).toBe('FakeSession 1 { idle }')
  driver.kill()
  expect(String(driver.sessions[0])).toBe('FakeSession 1 { ended }')
})
