/** A transaction by text that has failed: the server answers COMMIT by ROLLBACK, and means it. */

import { TransactionAbortedError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { site, sound } from './support.ts'

test('COMMIT as text of a transaction that has failed is told as ROLLBACK, and the connection is in no transaction', async () => {
  await using place = await site({ pool: { max: 1 } })
  await using connection = await place.db.acquire()
  await connection.status('begin')
  await connection.status('insert into t values (1)')
  await caught(connection.scalar('select 1 / 0'))
  expect(await caught(connection.status('insert into t values (2)'))).toBeInstanceOf(TransactionAbortedError)

  const end = await connection.status('commit')
  await connection.status('insert into t values (3)')
  await connection.release()

  expect(end.command).toBe('ROLLBACK')
  expect(await place.rows()).toEqual([3])
  await sound(place)
})
