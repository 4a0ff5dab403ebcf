/** A statement left a transaction open outside of any, and the ROLLBACK that undoes it goes wrong. */

import { expect, test } from 'vitest'
import { fake, type Fake, sound } from '../support/fake.ts'

const stray = (resetTimeoutMs = 40): Promise<Fake> =>
  fake(
    { answer: (text, _, session) => (text === 'odd' ? (session.execute('begin', []), []) : undefined) },
    { pool: { max: 1 }, resetTimeoutMs },
  )

test('a ROLLBACK the server never runs closes the connection when a reset would be over; what waits gets another', async () => {
  await using server = await stray()
  const { db, driver } = server
  driver.faults.at('ROLLBACK', { hang: true })

  await db.scope(async () => {
    await db.status('odd')
    expect(await db.scalar('select 7')).toBe(7)
  })

  expect(driver.sessions.map(({ ended }) => ended)).toEqual([true, false])
  await sound(server)
})

test('a ROLLBACK whose answer never comes does the same, when the scope has ended too', async () => {
  await using server = await stray()
  const { db, driver } = server
  driver.faults.at({ text: 'ROLLBACK', phase: 'answer' }, { hang: true })

  await db.scope(() => db.status('odd'))

  expect(await db.scalar('select 7')).toBe(7)
  expect(driver.openCount).toBe(1)
  await sound(server)
})

test('a ROLLBACK the server refuses closes the connection at once', async () => {
  await using server = await stray()
  const { db, driver } = server
  driver.faults.at('ROLLBACK', { error: 'XX000' })

  await db.scope(async () => {
    await db.status('odd')
    expect(await db.scalar('select 7')).toBe(7)
  })

  expect(driver.sessions).toHaveLength(2)
  await sound(server)
})

test('one that is answered in time keeps the connection', async () => {
  await using server = await stray(20_000)
  const { db, driver } = server
  driver.faults.at('ROLLBACK', { delayMs: 5 })

  await db.scope(async () => {
    await db.status('odd')
    expect(await db.scalar('select 7')).toBe(7)
  })

  expect(driver.sessions).toHaveLength(1)
  await sound(server)
})
