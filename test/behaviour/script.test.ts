/** `genever/script`: work with a database that is closed behind it. */

import { closeGlobal, createDb, globalDb, StepError, UsageError } from 'genever'
import { run } from 'genever/script'
import { expectTypeOf } from 'expect-type'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { until } from '../support/until.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, pid, type TestedDatabase } from '../support/matrix.ts'
import { runScript } from '../support/script.ts'

forEachDriver(
  (driver) => {
    const one = driver.words.placeholder(1)
    let database: TestedDatabase
    let url: string

    beforeEach(async () => {
      database = await driver.fresh('create table t (n int primary key)')
      url = database.url
    })
    afterEach(async () => {
      await closeGlobal()
      await database[Symbol.asyncDispose]()
    })

    const rows = async (): Promise<unknown[]> => (await database.query('select n from t order by n')).map(({ n }) => n)

    /** The server ends a session a moment after its client has left. */
    const noSessions = (): Promise<unknown> => until(async () => (await database.sessions()) === 0)

    describe('run', () => {
      test('gives what the work returns and closes what it opened, again and again', async () => {
        const pids: number[] = []
        for (let time = 0; time < 3; time++) {
          const session = await run(url, (db) => pid(db))
          expectTypeOf(session).toEqualTypeOf<number>()
          pids.push(session)
          await noSessions()
        }

        expect(new Set(pids).size).toBe(3)
      })

      test('closes also when the work throws, and rejects with that', async () => {
        const error = await caught(
          run(url, async (db) => {
            await db.execute('insert into t values (1)')
            throw new RangeError('mine')
          }),
        )

        expect(error).toEqual(new RangeError('mine'))
        await noSessions()
        expect(await rows()).toEqual([1])
      })

      test('shares the pool of globalDb: what others use stays open, what only runs use is closed by the last', async () => {
        await run(url, async () => {
          expect(await globalDb(url).scalar('select 1')).toBe(1)
        })
        await noSessions()
        const [first, second] = [gate(), gate()]
        const one = run(url, async (db) => (await db.scalar('select 1'), first.promise))
        const two = run(url, async (db) => {
          await second.promise
          return db.scalar('select 2')
        })
        first.open()
        await one
        second.open()
        expect(await two).toBe(2)
        await noSessions()

        await globalDb(url).scalar('select 1')
        await run(url, (db) => db.scalar('select 1'))
        expect(await database.sessions()).toBe(1)
        await closeGlobal()
        await run(url, (db) => db.scalar('select 1'))
        await noSessions()
      })

      test('of a db closes it only if it opened it, and it can be used afterwards', async () => {
        await using db = createDb(url)
        for (let time = 0; time < 2; time++) {
          await Promise.all([run(db, () => db.scalar('select 1')), run(db, (script) => script.scalar('select 2'))])
          await noSessions()
        }
        await db.open()
        await run(db, async (script) => {
          await db.transaction(async () => {
            await db.status('insert into t values (5)')
            expect(await script.scalar('select count(*) from t')).toBe(1)
          })
        })

        expect(await database.sessions()).toBe(1)
      })

      test('rejects before the work when the database cannot be reached, and can be called again', async () => {
        let ran = false
        const nowhere = url.replace(/\/[^/]*$/, '/nowhere')
        for (let time = 0; time < 2; time++)
          expect(await caught(run(nowhere, () => (ran = true)))).toMatchObject({ code: 'GENEVER_CONNECT' })

        expect(ran).toBe(false)
        expect(await caught(run(undefined as never, () => 1))).toBeInstanceOf(UsageError)
        expect(await caught(run(url, 7 as never))).toBeInstanceOf(UsageError)
        expect(await caught(run(createDb(), () => 1))).toMatchObject({ code: 'GENEVER_NOT_BOUND' })
        expect(await caught(run(createDb(url), () => 1, {}))).toBeInstanceOf(UsageError)
      })
    })

    describe('the words of a script', () => {
      test('are select, execute and trans', async () => {
        await run(url, async (db) => {
          const status = await db.execute(`insert into t values (${one})`, [1])
          expect(status).toMatchObject({ command: 'INSERT', rowCount: 1 })
          expect(await db.select<{ n: number }>('select n from t where n = :n', { n: 1 })).toEqual([{ n: 1 }])
          const done = await db.trans([
            'insert into t values (2)',
            { text: `insert into t values (${one}), (4)`, params: [3] },
          ])
          expect(done.map(({ rowCount }) => rowCount)).toEqual([1, 2])
          expect(await db.trans([])).toEqual([])
        })

        expect(await rows()).toEqual([1, 2, 3, 4])
      })

      test('trans stops at the first failure, rolls everything back and says which it was', async () => {
        await run(url, async (db) => {
          const error = await caught(
            db.trans([
              'insert into t values (1)',
              { text: 'insert into t values (:n)', params: { n: 1 } },
              'insert into t values (2)',
            ]),
          )
          expect(error).toBeInstanceOf(StepError)
          expect(error).toMatchObject({ step: 2, outcome: 'rolled_back', cause: { code: 'GENEVER_UNIQUE_VIOLATION' } })
          expect(error.message).toMatch(/^Step 2 of 3 failed, and everything was rolled back: /)
          for (const wrong of ['select 1', [7], [{ text: 'select 1', parms: [] }], ['insert into t values (9)', null]])
            expect(await caught(db.trans(wrong as never))).toBeInstanceOf(UsageError)
          await db.transaction(async () => {
            await db.trans(['insert into t values (7)'])
            await caught(db.trans(['insert into t values (8)', 'select exp(1000)']))
          })
        })

        expect(await rows()).toEqual([7])
      })
    })

    test('a script ends by itself, also when its work throws', async () => {
      const text = `
    import { globalDb } from 'genever'
    import { run } from 'genever/script'
    const url = process.env.URL
    await run(url, (db) => db.trans(['insert into t values (1)', 'insert into t values (2)']))
    await run(url, async () => console.log(await globalDb(url).scalar('select count(*) from t')))
    await run(url, () => { throw new Error('mine') }).catch((error) => console.log(error.message))
    const ended = performance.now()
    process.on('exit', () => performance.now() - ended > 15_000 && console.log('late'))`
      const end = await runScript(text, { env: { URL: url } })

      expect(end).toMatchObject({ code: 0, stdout: '2\nmine' })
    })
  },
  { connections: 2 },
)
