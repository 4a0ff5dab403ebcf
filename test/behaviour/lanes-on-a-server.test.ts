/** Quick reads that share connections of a real server: each has its own answer, whatever the others come to. */

import { createDb, type Db } from 'genever'
import { afterEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { postgres, quiet } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const { words } = postgres
const [one, two] = [words.placeholder(1), words.placeholder(2)]
const plain = `${words.integer} + 0`
const divided = `select 10 / cast(${one} as int)`
const opened: Db[] = []

/** Reads of it are known to be quick. */
async function warm(shared: number, max = 4): Promise<Db> {
  const db = createDb(await databaseUrl(), { driver: 'socket', pool: { max, shared } })
  opened.push(db)
  await db.open()
  for (let n = 0; n < 5; n++) {
    await db.scalar(plain, [n])
    await db.scalar(divided, [n + 1])
  }
  return db
}

const numbers = Array.from({ length: 300 }, (_, n) => n)

describe('reads that share connections', () => {
  afterEach(async () => {
    for (const db of opened.splice(0)) {
      await quiet(db)
      await db.close()
    }
  })

  test.each([0, 1, 4])('each have their own answer, on at most that many shared connections: %i', async (shared) => {
    const db = await warm(shared)

    const answers = await Promise.all(numbers.map((n) => db.scalar(plain, [n])))

    expect(answers).toEqual(numbers)
  })

  test('fail alone', async () => {
    const db = await warm(1, 1)

    const answers = await Promise.all(
      numbers.map((n) => db.scalar(divided, [n % 3]).catch((error: unknown) => (error as Error).message)),
    )

    expect(answers).toEqual(numbers.map((n) => (n % 3 === 0 ? 'division by zero' : 10 / (n % 3))))
  })

  test('are answered rightly beside one that is stopped', async () => {
    const db = await warm(1, 1)
    const slow = `${words.integer} from (${words.sleep(two)}) as pause`
    for (let n = 0; n < 5; n++) await db.scalar(slow, [n, 0])

    const stopped = caught(db.scalar(slow, [0, 30], { timeoutMs: 30 }))
    const answers = await Promise.all(numbers.map((n) => db.scalar(plain, [n])))

    expect(answers).toEqual(numbers)
    expect((await stopped).name).toBe('QueryTimeoutError')
  })

  test('see what was written before them, and no transaction that is open', async () => {
    const db = await warm(4)
    const table = `lanes_${process.pid}`
    await db.status(`create table ${table} (n int)`)
    const count = words.count(table)
    for (let n = 0; n < 5; n++) await db.scalar(count)

    await db.transaction(async (tx) => {
      await tx.status(`insert into ${table} values (1)`)
      const outside = await db.detached(() => Promise.all(numbers.slice(0, 40).map(() => db.scalar(count))))
      expect(new Set(outside)).toEqual(new Set([0]))
    })

    expect(new Set(await Promise.all(numbers.slice(0, 40).map(() => db.scalar(count))))).toEqual(new Set([1]))
    await db.status(`drop table ${table}`)
  })

  test('a read that waits for a lock has nobody behind it whose transaction it waits for', async () => {
    const db = await warm(1, 3)
    const table = `locked_${process.pid}`
    await db.status(`create table ${table} (n int)`)
    const count = words.count(table)
    for (let n = 0; n < 5; n++) await db.scalar(count)

    const locked = gate()
    const waits = gate()
    const transaction = db.transaction(async (tx) => {
      await tx.status(`lock table ${table} in access exclusive mode`)
      locked.open()
      await waits.promise
      return db.detached(() => Promise.all([1, 2, 3].map((n) => db.scalar(plain, [n]))))
    })
    await locked.promise
    const stuck = db.scalar(count)
    await until(() => postgres.running(`from ${table}`))
    waits.open()

    expect(await transaction).toEqual([1, 2, 3])
    expect(await stuck).toBe(0)
    await db.status(`drop table ${table}`)
  })
})
