/** Which row an instance stands for, and what its fields are when a change or its transaction fails. */

import { eq, sql } from 'drizzle-orm'
import { integer, jsonb, pgTable, primaryKey, serial, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { NoSuchRowError, UniqueViolationError, UsageError } from 'genever'
import { json, Model } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function accounts(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(
    `id serial primary key, name text not null, cents int not null default 0, profile jsonb not null default '{}',
     shout text generated always as (upper(name)) stored`,
  )
  const table = pgTable(name, {
    id: serial().primaryKey(),
    name: text().notNull(),
    cents: integer().notNull().default(0),
    profile: jsonb().notNull().default({}),
    shout: text().generatedAlwaysAs(sql`upper(name)`),
  })
  class Account extends Model(db, table, { json: { profile: { nick: json.string(), tags: json.array<string>() } } }) {}
  const stored = (id: number): Promise<unknown> => db.oneOrNone(`select name, cents from ${name} where id = $1`, [id])
  return { db, name, Account, stored }
}

class Left extends Error {}

forEachDriver((driver) => {
  describe('the row of an instance', () => {
    test('stays its own when its key is assigned by hand', async () => {
      const { Account, stored } = await accounts(driver)
      const [ada, eve] = await Account.createMany([{ name: 'Ada' }, { name: 'Eve' }])

      ada!.id = eve!.id
      await ada!.update({ name: 'A' })
      expect([await stored(1), await stored(2)]).toEqual([
        { name: 'A', cents: 0 },
        { name: 'Eve', cents: 0 },
      ])
      expect((await ada!.reload()).id).toBe(1)
      ada!.id = eve!.id
      await ada!.delete()
      expect([await stored(1), (await stored(2)) !== undefined]).toEqual([undefined, true])
    })

    test('is known however the instance was read', async () => {
      const { Account } = await accounts(driver)
      await Account.create({ name: 'Ada' })
      const read = [
        await Account.getOr404(1),
        await Account.query().one(),
        (await Account.query().load(Account.load({ upper: sql<string>`upper(${Account.c.name})` })))[0]!,
        (await Account.query().load(Account.load({}), { strategy: 'select-in' }))[0]!,
        (await Account.query().load([Account] as const))[0]![0],
        (await Account.update({ cents: 1 }).everyRow().returning())[0]!,
        await Account.upsert({ id: 1, name: 'Ada' }),
        (await Account.query().iterate().read(5))[0]!,
        (await Account.query().limit(1).page()).rows[0]!,
      ]

      for (const account of read) {
        account.id = 99
        expect((await account.reload()).id).toBe(1)
        expect(String(account.id)).toBe('1')
      }
    })

    test('with a composite key too, of which a part is changed', async () => {
      const db = await driver.db()
      const name = await driver.table('a int, b int, n int, primary key (a, b)')
      const table = pgTable(name, { a: integer(), b: integer(), n: integer() }, (t) => [
        primaryKey({ columns: [t.a, t.b] }),
      ])
      class Pair extends Model(db, table, { pk: ['a', 'b'] }) {}
      const pair = await Pair.create({ a: 1, b: 2 })

      pair.a = 7
      await pair.update({ b: 3 })
      await pair.update({ n: 1 })

      expect(await db.all(`select * from ${name}`)).toEqual([{ a: 1, b: 3, n: 1 }])
      expect(await pair.reload()).toMatchObject({ a: 1, b: 3, n: 1 })
    })

    test('is found by the fields of an instance made by hand', async () => {
      const { Account, stored } = await accounts(driver)
      await Account.create({ name: 'Ada' })

      const made = new Account({ id: 1 })
      await made.update({ name: 'A' })

      expect(await stored(1)).toMatchObject({ name: 'A' })
      expect((await made.reload()).cents).toBe(0)
    })
  })

  describe('a change that fails', () => {
    test('gives the fields back, and the row stays its own', async () => {
      const { Account, stored } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada', nick: 'a', tags: ['x'] })
      await Account.create({ name: 'Eve' })

      expect(await caught(ada.update({ id: 2, name: 'B', nick: 'b', tags: ['y'] }))).toBeInstanceOf(
        UniqueViolationError,
      )

      expect(ada).toMatchObject({ id: 1, name: 'Ada', nick: 'a', tags: ['x'], shout: 'ADA' })
      await ada.reload()
      await ada.delete()
      expect([await stored(1), (await stored(2)) !== undefined]).toEqual([undefined, true])
    })

    test('keeps what was assigned since', async () => {
      const { Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })

      const failing = ada.update({ name: 'B', cents: sql`1 / 0` }).apply()
      ada.name = 'mine'
      await caught(failing)

      expect(ada.name).toBe('mine')
    })

    test('of several at once takes back its own values only', async () => {
      const { Account, db } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })

      const first = ada.update({ name: 'B', cents: sql`1 / 0` })
      const second = ada.update({ name: 'C' })
      await caught(first)
      expect(ada.name).toBe('C')
      await second
      expect(ada.name).toBe('C')

      const third = ada.update({ name: 'D', cents: sql`1 / 0` })
      const fourth = ada.update({ name: 'E', cents: sql`1 / 0` })
      await db.scope(async () => {
        await caught(third)
        await caught(fourth)
      })
      expect(ada.name).toBe('C')
    })

    test('gives the fields back when the hook refuses, and when the row is gone', async () => {
      const { db, Account, name } = await accounts(driver)
      class Guarded extends Model(db, Account.table, {
        beforeUpdate() {
          throw new Left('no')
        },
      }) {}
      const made = await Account.create({ name: 'Ada' })
      const guarded = await Guarded.getOr404(made.id)

      expect(await caught(guarded.update({ name: 'B' }))).toBeInstanceOf(Left)
      expect(guarded.name).toBe('Ada')

      await db.status(`delete from ${name}`)
      expect(await caught(made.update({ name: 'B' }))).toBeInstanceOf(NoSuchRowError)
      expect(made.name).toBe('Ada')
    })

    test('with a lookup() of its own finds the row by the fields as they were', async () => {
      const { db, Account } = await accounts(driver)
      class Named extends Model(db, Account.table) {
        override lookup() {
          return eq(Named.c.name, this.name)
        }
      }
      const ada = await Named.create({ name: 'Ada' })

      await caught(ada.update({ name: 'B', cents: sql`1 / 0` }))
      expect((await ada.reload()).name).toBe('Ada')
      await ada.update({ name: 'B' })
      expect((await ada.reload()).name).toBe('B')
    })
  })

  describe('a transaction that is rolled back', () => {
    test('gives fields, generated columns and the row back, through all its changes', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada', nick: 'a' })

      await caught(
        db.transaction(async () => {
          await ada.update({ id: 77, name: 'B', nick: 'b' })
          await ada.update({ name: 'C', cents: sql`${Account.c.cents} + 5` })
          expect(ada).toMatchObject({ id: 77, name: 'C', cents: 5, shout: 'C' })
          await ada.reload()
          throw new Left()
        }),
      )

      expect(ada).toMatchObject({ id: 1, name: 'Ada', cents: 0, nick: 'a', shout: 'ADA' })
      expect((await ada.reload()).name).toBe('Ada')
    })

    test('by a savepoint, a raise or a manual end: each gives back what happened inside', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })

      await db.transaction(async (tx) => {
        await ada.update({ name: 'B' })
        await caught(
          db.transaction(async () => {
            await ada.update({ id: 50, name: 'C' })
            throw new Left()
          }),
        )
        expect(ada).toMatchObject({ id: 1, name: 'B' })
        await db.transaction(async (inner) => {
          await ada.update({ name: 'D' })
          inner.raiseRollback()
        })
        expect(ada.name).toBe('B')
        await db.transaction(() => ada.update({ cents: 9 }))
        expect((await ada.reload()).cents).toBe(9)
        const savepoint = await tx.begin()
        await ada.update({ name: 'E' }).apply({ on: savepoint })
        await savepoint.rollback()
        expect(ada.name).toBe('B')
      })
      expect(await ada.reload()).toMatchObject({ id: 1, name: 'B', cents: 9 })

      await caught(
        db.transaction(async () => {
          await db.transaction(() => ada.update({ id: 60, name: 'F' }))
          expect(ada.id).toBe(60)
          throw new Left()
        }),
      )
      expect(ada).toMatchObject({ id: 1, name: 'B' })

      const manual = await db.begin()
      await ada.update({ id: 70, name: 'G' }).apply({ on: manual })
      expect(ada.id).toBe(70)
      await manual.rollback()
      expect(ada).toMatchObject({ id: 1, name: 'B' })
      expect((await ada.reload()).name).toBe('B')
    })

    test('takes back what reload() read in it, which may never be stored', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada', nick: 'a' })
      const lost = async (): Promise<void> => {
        await Account.update({ name: 'lost', nick: 'lost' }).where({ id: ada.id })
        expect(await ada.reload()).toMatchObject({ name: 'lost', nick: 'lost', shout: 'LOST' })
      }

      await db.transaction(async (tx) => {
        await lost()
        tx.raiseRollback()
      })
      expect(ada).toMatchObject({ name: 'Ada', nick: 'a', shout: 'ADA' })
      await db.transaction(async () => {
        await ada.update({ name: 'B', cents: 1 })
        await db.transaction(async (inner) => {
          await lost()
          await ada.update({ cents: 2 })
          inner.raiseRollback()
        })
        expect(ada).toMatchObject({ name: 'B', cents: 1, nick: 'a', shout: 'B' })
        await Account.update({ name: 'kept' }).where({ id: ada.id })
        await ada.reload()
      })
      expect(ada).toMatchObject({ name: 'kept', cents: 1 })
      expect(await ada.reload()).toMatchObject({ name: 'kept', cents: 1, nick: 'a' })
    })

    test('keeps what is committed', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })

      await db.transaction(async () => {
        await db.transaction(() => ada.update({ id: 5, name: 'B' }))
        await ada.update({ cents: 3 })
      })
      await caught(
        db.transaction(async () => {
          await ada.update({ name: 'C' })
          throw new Left()
        }),
      )

      expect(ada).toMatchObject({ id: 5, name: 'B', cents: 3 })
      expect(await ada.reload()).toMatchObject({ id: 5, name: 'B', cents: 3 })
    })

    test('by a failure of COMMIT, a deadline or a signal', async () => {
      const { db, Account, name } = await accounts(driver)
      await db.status(`alter table ${name} add constraint late_${name} unique (cents) deferrable initially deferred`)
      const ada = await Account.create({ name: 'Ada', cents: 1 })
      await Account.create({ name: 'Eve', cents: 2 })

      await caught(db.transaction(() => ada.update({ id: 9, cents: 2 })))
      expect(ada).toMatchObject({ id: 1, cents: 1 })

      const late = db.transaction(
        async () => {
          await ada.update({ id: 9, name: 'B' })
          await db.transaction(() => ada.update({ name: 'C' }))
          await new Promise(() => {})
        },
        { timeoutMs: 300 },
      )
      expect((await caught(late)).name).toBe('TransactionTimeoutError')
      expect(ada).toMatchObject({ id: 1, name: 'Ada' })

      const stop = new AbortController()
      const stopped = db.transaction(
        async () => {
          await ada.update({ id: 9, name: 'B' })
          stop.abort()
          await new Promise(() => {})
        },
        { signal: stop.signal },
      )
      await caught(stopped)
      expect(ada).toMatchObject({ id: 1, name: 'Ada' })
      await ada.delete()
    })

    test('and run again: a change counts once', async () => {
      const { db, Account } = await accounts(driver)
      const account = await Account.create({ name: 'Ada', cents: 1000 })
      let runs = 0

      await db.transaction(
        async () => {
          runs++
          await account.update({ cents: account.cents - 100 })
          await db.transaction(() => account.update({ cents: account.cents - 1 }))
          if (runs < 3) await db.status(`do $$ begin raise exception using errcode = '40001'; end $$`)
        },
        { retry: { limit: 3, intervalMs: 1 } },
      )

      expect([runs, account.cents, (await account.reload()).cents]).toEqual([3, 899, 899])
    })

    test('takes what was created there for no row', async () => {
      const { db, Account } = await accounts(driver)
      const given = new Account({ name: 'given' })
      const made: InstanceType<typeof Account>[] = []

      await caught(
        db.transaction(async () => {
          made.push(await Account.create({ name: 'a' }), ...(await Account.createMany([{ name: 'b' }])))
          await Account.create(given)
          expect(given.id).toBe(3)
          throw new Left()
        }),
      )

      for (const account of made) {
        const error = await caught(account.reload())
        expect(error).toBeInstanceOf(NoSuchRowError)
        expect(String(error)).toContain('the transaction that created it was rolled back')
      }
      expect([given.id, given.name, given.shout]).toEqual([undefined, 'given', undefined])
      await Account.create(given)
      expect((await given.reload()).name).toBe('given')
    })

    test('of a deleted row leaves an instance that finds it', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })

      await caught(
        db.transaction(async () => {
          await ada.delete()
          throw new Left()
        }),
      )

      expect((await ada.reload()).name).toBe('Ada')
      await ada.delete()
    })

    test('of which nobody waits for the change that was issued in it', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })
      let issued: Promise<unknown> = Promise.resolve()

      await caught(
        db.transaction(() => {
          issued = ada.update({ id: 8, name: 'B' }).apply()
          throw new Left()
        }),
      )
      await issued.catch(() => {})

      expect(ada).toMatchObject({ id: 1, name: 'Ada' })
      expect((await ada.reload()).name).toBe('Ada')
    })
  })
})

forEachDriver(
  (driver) => {
    test('a connection that is lost gives back what its transaction changed', async () => {
      const { db, Account } = await accounts(driver)
      const ada = await Account.create({ name: 'Ada' })

      await caught(
        db.transaction(async () => {
          await ada.update({ id: 5, name: 'B' })
          await db.status('select pg_terminate_backend(pg_backend_pid())')
        }),
      )

      expect(ada).toMatchObject({ id: 1, name: 'Ada' })
      expect((await ada.reload()).name).toBe('Ada')
    })

    test('a new key whose COMMIT stays unanswered is not guessed', async () => {
      const { db, Account, name } = await accounts(driver)
      await db.status(`
        create function slow_${name}() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$;
        create constraint trigger slow after update on ${name} deferrable initially deferred
          for each row execute function slow_${name}()`)
      const ada = await Account.create({ name: 'Ada' })
      const same = await Account.create({ name: 'Eve' })

      using time = leapingTime()
      const told = caught(
        db.transaction(
          async () => {
            await ada.update({ id: 7, name: 'B' })
            await same.update({ name: 'F' })
          },
          { query: { timeoutMs: 60_000 } },
        ),
      )
      const committing = `select count(*)::int from pg_stat_activity
        where datname = current_database() and query = 'COMMIT' and wait_event = 'PgSleep'`
      await until(async () => (await db.scalar(committing)) === 1)
      time.leap(60_000)

      expect((await told).name).toBe('CommitOutcomeUnknownError')
      expect(ada).toMatchObject({ id: 1, name: 'Ada' })
      const asked = await caught(ada.reload())
      expect(asked).toBeInstanceOf(UsageError)
      expect(String(asked)).toContain('Genever does not know the row of this Account')
      expect(same.name).toBe('Eve')
      expect(['Eve', 'F']).toContain((await same.reload()).name)
    })
  },
  { connections: 2 },
)
