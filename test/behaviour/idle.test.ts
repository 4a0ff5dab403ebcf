/** `idle(work)`: while code waits for something else, the connection goes back whenever nothing needs it. */

import { expect, test } from 'vitest'
import { gate, noticesDuring } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const nobody = '0 lent, 1 idle, 0 waiting'
const one = '1 lent, 0 idle, 0 waiting'

forEachDriver((driver) => {
  test('somebody else has the only connection while its borrower waits for something else', async () => {
    const db = await driver.single()
    const served = gate()

    await Promise.all([
      db.scope(async () => {
        await db.scalar('select 1')
        await db.idle(() => served.promise)
        await db.scalar('select 2')
      }),
      db.scope(async () => {
        await db.scalar('select 3')
        served.open()
      }),
    ])

    expect(doing(db)).toBe(nobody)
  })

  test('the work starts at once, and what it returns or throws comes through', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      let begun = false
      const idling = connection.idle(() => {
        begun = true
        return Promise.resolve('answer')
      })

      expect(begun).toBe(true)
      expect(await idling).toBe('answer')
      await expect(
        db.idle(() => {
          throw new RangeError('out')
        }),
      ).rejects.toThrow(RangeError)
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  test('without anything borrowed, in a scope or outside, the work just runs', async () => {
    const db = await driver.single()

    expect([await db.idle(() => 1), await db.scope(() => db.idle(() => 2))]).toEqual([1, 2])
  })

  test('statements of the work borrow, and give back again after each', async () => {
    const db = await driver.single()

    await db.scope(async () => {
      await db.scalar('select 1')
      await db.idle(async () => {
        expect(doing(db)).toBe(nobody)
        await db.scalar('select 2')
        expect(doing(db)).toBe(nobody)
        await db.scalar('select 3')
        expect(doing(db)).toBe(nobody)
      })
    })
  })

  test('a branch beside it uses the connection as ever, and it goes back once that is through', async () => {
    const db = await driver.single()

    await db.scope(async () => {
      const waiting = gate()
      const idling = db.idle(() => waiting.promise)
      const statement = db.scalar(driver.words.sleep(0.01))
      const meanwhile = doing(db)
      await statement

      expect([meanwhile, doing(db)]).toEqual([one, nobody])
      waiting.open()
      await idling
      await db.scalar('select 2')
      expect(doing(db)).toBe(one)
    })
  })

  test('a statement that runs when it begins is not disturbed', async () => {
    const db = await driver.single()

    await db.scope(async () => {
      const statement = db.scalar(driver.words.sleep(0.02))
      await db.idle(async () => {
        expect(doing(db)).toBe(one)
        await until(() => doing(db) === nobody)
      })
      await statement
    })
  })

  test('as long as one of several idles is active the connection goes back', async () => {
    const db = await driver.single()
    const [short, long] = [gate(), gate()]

    await db.scope(async (connection) => {
      const idling = [db.idle(() => short.promise), connection.idle(() => db.idle(() => long.promise))]
      short.open()
      await idling[0]
      await db.scalar('select 1')
      const withOne = doing(db)
      long.open()
      await idling[1]
      await db.scalar('select 1')

      expect([withOne, doing(db)]).toEqual([nobody, one])
    })
  })

  test('the idle of a reusing connection gives back what its owner borrowed', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      await owner.scalar('select 1')
      await db.scope((reusing) => reusing.idle(() => expect(doing(db)).toBe(nobody)))
      expect(await owner.scalar('select 2')).toBe(2)
    })
  })

  test('in a transaction the connection is kept, and that is told', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')

    const notices = await noticesDuring(() =>
      db.transaction(async (tx) => {
        await tx.status(`insert into ${table} values (1)`)
        await db.idle(() => expect(doing(db)).toBe(one))
        await tx.status(`insert into ${table} values (2)`)
      }),
    )

    expect(notices.map(({ code }) => code)).toEqual(['held-while-idle'])
    expect(notices[0]?.places[0]).toContain('idle.test.ts')
    expect(await db.scalar(`select count(*) from ${table}`)).toBe(2)
  })

  test('with session state the user relies on the connection is kept, and that is told', async () => {
    const db = await driver.single()

    const notices = await noticesDuring(() =>
      db.scope(async (connection) => {
        await connection.status(driver.words.set('app.name', 'mine'))
        await connection.idle(() => expect(doing(db)).toBe(one))
        expect(await connection.scalar(driver.words.setting('app.name'))).toBe('mine')
      }),
    )

    expect(notices.map(({ code }) => code)).toEqual(['held-while-idle'])
  })

  test('a transaction opened meanwhile keeps the connection, and its end gives it back', async () => {
    const db = await driver.single()

    await db.scope(() =>
      db.idle(async () => {
        await db.transaction(async (tx) => {
          await tx.scalar('select 1')
          await tx.scalar('select 2')
          expect(doing(db)).toBe(one)
        })
        expect(doing(db)).toBe(nobody)
      }),
    )
  })

  test('session state made meanwhile keeps the connection from then on', async () => {
    const db = await driver.single()

    await db.scope(() =>
      db.idle(async () => {
        await db.status(driver.words.set('app.name', 'mine'))
        expect(doing(db)).toBe(one)
        expect(await db.scalar(driver.words.setting('app.name'))).toBe('mine')
      }),
    )

    expect(await db.scalar(driver.words.setting('app.name'))).not.toBe('mine')
  })

  test('an acquired handle can idle too', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()

    await connection.idle(async () => {
      expect(await db.scalar('select 1')).toBe(1)
    })

    expect(await connection.scalar('select 2')).toBe(2)
  })

  test('a text transaction on an acquired handle keeps its connection', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await using connection = await db.acquire()
    await connection.status('begin')
    await connection.status(`insert into ${table} values (1)`)

    await connection.idle(() => expect(doing(db)).toBe(one))
    await connection.status('commit')

    expect(await connection.scalar(`select n from ${table}`)).toBe(1)
  })

  test('a scope that ends while one of its branches still idles gives everything back', async () => {
    const db = await driver.single()
    const waiting = gate()
    let idling: Promise<unknown> | undefined

    await db.scope(async () => {
      await db.scalar('select 1')
      idling = db.idle(() => waiting.promise)
    })
    const ended = doing(db)
    waiting.open()
    await idling

    expect([ended, doing(db)]).toEqual([nobody, nobody])
  })
})
