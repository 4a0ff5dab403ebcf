/** One connection for all that a scope calls, borrowed by the first statement and shared by whoever asks next. */

import { AcquireTimeoutError, type Connection, ReleasedConnectionError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const nobody = '0 lent, 1 idle, 0 waiting'
const one = '1 lent, 0 idle, 0 waiting'

forEachDriver((driver) => {
  test('a scope without a statement borrows nothing', async () => {
    const db = await driver.single()

    const seen = await db.scope((connection) => [doing(db), connection.borrowed, db.current === connection])

    expect(seen).toEqual([nobody, false, true])
    expect(db.current).toBeUndefined()
  })

  test('the first statement of a scope borrows, and its end gives back', async () => {
    const db = await driver.single()
    const seen: string[] = []

    await db.scope(async () => {
      await db.scalar('select 1')
      seen.push(doing(db))
      await db.scalar('select 2')
      seen.push(doing(db))
    })

    expect([...seen, doing(db)]).toEqual([one, one, nobody])
  })

  test('a scope inside of a scope shares its connection, and only the outer end gives it back', async () => {
    const db = await driver.single()
    const seen: string[] = []

    await db.scope(async (outer) => {
      await db.scope(async (inner) => {
        await inner.scalar('select 1')
        seen.push(doing(db))
        expect(inner.raw).toBe(outer.raw)
        expect([outer.owner, inner.owner]).toEqual([true, false])
      })
      seen.push(doing(db))
    })

    expect([...seen, doing(db)]).toEqual([one, one, nobody])
  })

  test('acquire({ reuse: true }) in a scope shares its connection and borrows it at once', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      const reusing = await db.acquire({ reuse: true })

      expect([owner.borrowed, reusing.owner, reusing.raw === owner.raw]).toEqual([true, false, true])
    })
  })

  test('acquire({ reuse: true, lazy: true }) in a scope borrows nothing yet', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      const reusing = await db.acquire({ reuse: true, lazy: true })

      expect([reusing.borrowed, owner.borrowed]).toEqual([false, false])
      await reusing.scalar('select 1')
      expect([reusing.borrowed, owner.borrowed]).toEqual([true, true])
    })
  })

  test('scope({ lazy: false }) has its connection before its work begins', async () => {
    const db = await driver.single()

    const seen = await db.scope(() => doing(db), { lazy: false })

    expect(seen).toBe(one)
  })

  test('acquire({ reuse: true }) outside of any scope is a lone owner that nobody reuses', async () => {
    const db = await driver.single()

    await using lone = await db.acquire({ reuse: true })

    expect([lone.owner, lone.borrowed, db.current]).toEqual([true, true, undefined])
  })

  test('an acquired handle is not ambient, for nobody', async () => {
    const db = await driver.single()
    await using held = await db.acquire()

    const error = await caught(db.acquire({ reuse: true, timeoutMs: 10 }))

    expect([held.borrowed, error instanceof AcquireTimeoutError]).toEqual([true, true])
  })

  test('run() makes an acquired handle ambient for a callback, and releases nothing', async () => {
    const db = await driver.single()
    await using held = await db.acquire()

    const inside = await held.run(async () => {
      const reusing = await db.acquire({ reuse: true })
      await db.scalar('select 1')
      return [reusing.raw === held.raw, db.current?.raw === held.raw]
    })

    expect([inside, doing(db), db.current]).toEqual([[true, true], one, undefined])
  })

  test('run() of a reusing handle makes its owner ambient again where another one would be', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      const reusing = await db.acquire({ reuse: true })
      await db.scope(
        async () => {
          await reusing.run(async () => {
            expect((await db.acquire({ reuse: true })).raw).toBe(owner.raw)
          })
        },
        { reuse: false },
      )
    })
  })

  test('a scope that is not reusable lends to its handle only', async () => {
    const db = await driver.single()

    await db.scope(
      async (orphan) => {
        expect([orphan.borrowed, db.current]).toEqual([false, undefined])
        await db.scalar('select 1')
        expect([orphan.borrowed, doing(db)]).toEqual([false, nobody])
        await orphan.scalar('select 1')
        expect(doing(db)).toBe(one)
      },
      { reusable: false },
    )

    expect(doing(db)).toBe(nobody)
  })

  test('inside of a scope that is not reusable the next scope around it is shared', async () => {
    const db = await driver.single()

    await db.scope(async (outer) => {
      await outer.scalar('select 1')
      await db.scope(async () => expect((await db.acquire({ reuse: true })).raw).toBe(outer.raw), {
        reuse: false,
        reusable: false,
      })
    })
  })

  test('a reusing handle dies with its owner', async () => {
    const db = await driver.single()
    let kept: Connection | undefined

    await db.scope(async () => {
      kept = await db.acquire({ reuse: true })
      await kept.scalar('select 1')
    })

    expect(kept?.released).toBe(true)
    await expect(kept?.scalar('select 1')).rejects.toThrow(ReleasedConnectionError)
  })

  test('releasing a reusing handle closes that handle and gives nothing back', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      const reusing = await db.acquire({ reuse: true })
      await reusing.release()

      expect([owner.borrowed, doing(db)]).toEqual([true, one])
      await expect(reusing.scalar('select 1')).rejects.toThrow(ReleasedConnectionError)
      expect(await owner.scalar('select 1')).toBe(1)
    })
  })
})

forEachDriver(
  (driver) => {
    test('reuse takes the newest ambient connection, across four levels', async () => {
      const db = await driver.db()
      const lent: number[] = []
      const count = (): number => lent.push(db.stats().reserved)

      await db.scope(
        async (first) => {
          count()
          const second = await db.acquire({ reuse: true })
          count()
          await db.scope(
            async (third) => {
              count()
              const fourth = await db.acquire({ reuse: true })
              count()
              expect([second.raw === first.raw, fourth.raw === third.raw, fourth.raw === first.raw]).toEqual([
                true,
                true,
                false,
              ])
            },
            { reuse: false, lazy: false },
          )
          await until(() => db.stats().reserved === 1)
        },
        { lazy: false, hold: true },
      )
      await until(() => db.stats().reserved === 0)

      expect(lent).toEqual([1, 1, 2, 2])
    })

    test('acquire() in a scope has a connection of its own', async () => {
      const db = await driver.db()

      await db.scope(async (owner) => {
        await using own = await db.acquire()

        expect(await pid(own)).not.toBe(await pid(owner))
      })
    })

    test('a branch of a scope shares its connection, and one detached from it does not', async () => {
      const db = await driver.db()

      await db.scope(
        async () => {
          const ambient = await pid(db)
          const [branch, detached] = await Promise.all([
            db.acquire({ reuse: true }).then(pid),
            db.detached(() => db.scope(pid)),
          ])

          expect(branch).toBe(ambient)
          expect(detached).not.toBe(ambient)
        },
        { hold: true },
      )
    })
  },
  { connections: 2 },
)
