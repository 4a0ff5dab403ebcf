/** transaction() of a Drizzle on our client: the engine's, with Drizzle's ways. */

import { eq, sql, TransactionRollbackError } from 'drizzle-orm'
import { SerializationError, TransactionEndedError, TransactionStateError, UsageError } from 'genever'
import { beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { pid } from '../support/matrix.ts'
import { ambientOn, type Drizzle, is1, onBoth } from './support.ts'
import { rowsSql, tablesDdl, users } from './tables.ts'

/** As far as the tests use it. */
type Tx = Drizzle & { rollback(): never; setTransaction(config: object): Promise<unknown> }

onBoth(tablesDdl, (bench) => {
  beforeEach(() => bench.both(rowsSql))
  const names = async (): Promise<string[]> =>
    (await bench.ours.select().from(users).orderBy(users.id)).map(({ name }) => name)
  const add = (q: Pick<Drizzle, 'insert'>, name: string) => q.insert(users).values({ name })

  test('commits when the callback returns, and gives what it returned', async () => {
    expect(
      await bench.ours.transaction(async (tx) => {
        await add(tx, 'dan')
        return 7
      }),
    ).toBe(7)
    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan'])
  })

  test('rolls back when the callback throws, and throws that very thing', async () => {
    const reason = new Error('mine')
    const work = bench.ours.transaction(async (tx) => {
      await add(tx, 'dan')
      throw reason
    })

    expect(await caught(work)).toBe(reason)
    expect(await names()).toEqual(['ann', 'bob', 'cid'])
  })

  test('everything in the callback is inside: tx, the instance itself, and db', async () => {
    const { db, ours } = bench
    await ours.transaction(async (tx) => {
      await add(tx, 'dan')
      expect(await db.scalar("select count(*) from users where name = 'dan'")).toBe(1)
      await add(ours, 'eve')
      await db.sql`insert into users (name) values (${'fay'})`
      expect(await tx.$count(users)).toBe(6)
      expect((await tx.execute(sql`select pg_backend_pid() as pid`)).rows).toEqual([{ pid: await pid(db) }])
      expect(await db.all(tx.select().from(users))).toHaveLength(6)
    })

    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan', 'eve', 'fay'])
  })

  test('inside of db.transaction the instance is inside too', async () => {
    await bench.db.transaction(async (tx) => {
      await add(bench.ours, 'dan')
      tx.raiseRollback()
    })

    expect(await names()).toEqual(['ann', 'bob', 'cid'])
  })

  test('nested ones are savepoints, through tx, the instance, and db', async () => {
    const { db, ours } = bench
    await ours.transaction(async (tx) => {
      await add(tx, 'dan')
      const openers: readonly ((work: () => Promise<void>) => Promise<void>)[] = [
        (work) => tx.transaction(work),
        (work) => ours.transaction(work),
        (work) => db.transaction(work),
      ]
      for (const open of openers) {
        const nested = open(async () => {
          await add(ours, 'lost')
          throw new Error('nested')
        })
        expect((await caught(nested)).message).toBe('nested')
      }
      await tx.transaction(async (inner) => {
        await add(inner, 'eve')
        await add(tx, 'fay')
      })
    })

    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan', 'eve', 'fay'])
  })

  test("tx.rollback() throws Drizzle's own error, and the transaction is rolled back", async () => {
    const { ours } = bench
    const error = await caught(
      ours.transaction(async (tx) => {
        await add(tx, 'dan')
        tx.rollback()
      }),
    )

    expect(error).toBeInstanceOf(TransactionRollbackError)
    expect(await names()).toEqual(['ann', 'bob', 'cid'])
  })

  test('tx.rollback() of a nested one leaves the one around it', async () => {
    await bench.ours.transaction(async (tx) => {
      await add(tx, 'dan')
      try {
        await tx.transaction(async (inner) => {
          await add(inner, 'lost')
          inner.rollback()
        })
      } catch (error) {
        if (!(error instanceof TransactionRollbackError)) throw error
      }
      await add(tx, 'eve')
    })

    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan', 'eve'])
  })

  test('isolation level, access mode and deferrable are those of BEGIN', async () => {
    const config = { isolationLevel: 'serializable', accessMode: 'read only', deferrable: true } as const
    const shown = await bench.ours.transaction(async (tx) => {
      const settings = ['isolation', 'read_only', 'deferrable'].map((name) =>
        tx.execute<Record<string, string>>(sql.raw(`show transaction_${name}`)),
      )
      return (await Promise.all(settings)).map(({ rows }) => Object.values(rows[0]!)[0])
    }, config)

    expect(shown).toEqual(['serializable', 'on', 'on'])
  })

  test('a level or mode there is not is told before any SQL', async () => {
    for (const config of [{ isolationLevel: 'snapshot' }, { accessMode: 'write only' }])
      expect(await caught(bench.ours.transaction(async () => {}, config as never))).toBeInstanceOf(UsageError)
  })

  test('a nested one cannot ask for another isolation level', async () => {
    const work = bench.ours.transaction(() =>
      bench.ours.transaction(async () => {}, { isolationLevel: 'serializable' }),
    )

    expect(await caught(work)).toBeInstanceOf(TransactionStateError)
  })

  test('setTransaction sets what BEGIN did not, before the first query', async () => {
    const shown = await bench.ours.transaction(async (tx) => {
      await (tx as unknown as Tx).setTransaction({ isolationLevel: 'repeatable read', accessMode: 'read only' })
      const { rows } = await tx.execute(
        sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as only`,
      )
      return rows
    })

    expect(shown).toEqual([{ level: 'repeatable read', only: 'on' }])
    const late = bench.ours.transaction(async (tx) => {
      await tx.$count(users)
      await (tx as unknown as Tx).setTransaction({ isolationLevel: 'serializable' })
    })
    expect((await caught(late)).sqlState).toBe('25001')
  })

  test.runIf(is1 && bench.driver !== 'pglite')('a snapshot of another transaction is taken over', async () => {
    const { ours } = bench
    await ours.transaction(
      async (tx) => {
        const { rows } = await tx.execute<{ id: string }>(sql`select pg_export_snapshot() as id`)
        await bench.db.detached(async () => {
          await add(ours, 'dan')
          const seen = ours.transaction((other) => other.$count(users), {
            isolationLevel: 'repeatable read',
            snapshot: rows[0]!.id,
          } as never)
          expect(await seen).toBe(3)
        })
      },
      { isolationLevel: 'repeatable read' },
    )
  })

  test('tx has everything of the instance', async () => {
    await bench.ours.transaction(async (tx) => {
      for (const name of [
        'select',
        'insert',
        'update',
        'delete',
        'with',
        '$with',
        '$count',
        'execute',
        'transaction',
        'rollback',
        'setTransaction',
      ])
        expect(tx).toHaveProperty(name)
      const cte = tx.$with('c').as(tx.select().from(users).where(eq(users.id, 1)))
      expect(await tx.with(cte).select().from(cte)).toHaveLength(1)
      expect((tx as { $client?: unknown }).$client).toBe((bench.ours as { $client?: unknown }).$client)
    })
  })

  test('tx runs in its transaction wherever it is used, and not at all after it', async () => {
    const { db, ours } = bench
    let kept: Drizzle | undefined
    await ours.transaction(async (tx) => {
      kept = tx
      await db.detached(() => add(tx, 'dan'))
      expect(await db.scalar("select count(*) from users where name = 'dan'")).toBe(1)
    })

    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan'])
    expect(await caught(add(kept!, 'late'))).toBeInstanceOf(TransactionEndedError)
    expect(await caught(kept!.transaction(async () => {}))).toBeInstanceOf(TransactionEndedError)
  })

  test('transaction control by text is refused, inside and outside', async () => {
    for (const text of [
      'begin',
      'COMMIT',
      ' rollback',
      'savepoint a',
      'release savepoint a',
      'start transaction',
      'end',
    ])
      expect(await caught(bench.ours.execute(sql.raw(text)))).toBeInstanceOf(TransactionStateError)
    const inside = bench.ours.transaction((tx) => tx.execute(sql`commit`))

    expect(await caught(inside)).toBeInstanceOf(TransactionStateError)
  })

  test('the signal of raiseCommit and raiseRollback passes through statements of Drizzle', async () => {
    const result = await bench.db.transaction(async (tx) => {
      await add(bench.ours, 'dan')
      try {
        tx.raiseCommit('early')
      } catch {
        await add(bench.ours, 'never')
      }
    })

    expect(result).toBe('early')
    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan'])
  })

  test('on a connection or a transaction all of it runs there', async () => {
    const { db } = bench
    const connection = await db.acquire()
    const q = ambientOn(connection)
    const id = await pid(connection)
    expect((await q.execute(sql`select pg_backend_pid() as id`)).rows).toEqual([{ id }])
    await q.transaction(async (tx) => {
      await add(tx, 'dan')
      expect((await q.execute(sql`select pg_backend_pid() as id`)).rows).toEqual([{ id }])
    })
    await connection.release()
    const tx = await db.begin()
    const inTx = ambientOn(tx)
    await add(inTx, 'lost')
    expect(await inTx.$count(users)).toBe(5)
    await tx.rollback()

    expect(await caught(add(inTx, 'late'))).toBeInstanceOf(TransactionEndedError)
    expect(await names()).toEqual(['ann', 'bob', 'cid', 'dan'])
  })

  test.runIf(bench.driver !== 'pglite')(
    'a serialization failure is ours, and db.transaction runs the work again',
    async () => {
      const { db, ours } = bench
      let attempts = 0
      const raced = async (): Promise<void> => {
        attempts++
        await ours.select().from(users)
        if (attempts === 1)
          await db.detached(() =>
            ours.transaction(
              async (tx) => {
                await tx.select().from(users)
                await tx.update(users).set({ nick: 'other' }).where(eq(users.id, 1))
              },
              { isolationLevel: 'serializable' },
            ),
          )
        await ours.update(users).set({ nick: 'mine' }).where(eq(users.id, 1))
      }

      expect(await caught(db.transaction(raced, { isolation: 'serializable' }))).toBeInstanceOf(SerializationError)
      attempts = 0
      await db.transaction(raced, { isolation: 'serializable', retry: 1 })
      expect(attempts).toBe(2)
    },
  )
})
