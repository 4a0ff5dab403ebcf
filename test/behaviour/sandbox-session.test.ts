/** Session state in a sandbox: views share one session, and still each has its own settings, and leaves nothing behind. */

import { createDb, type Db, ForeignKeyViolationError, UniqueViolationError } from 'genever'
import { sandboxed } from 'genever/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase, onServer } from '../support/database.ts'
import { isOnPg } from '../support/extent.ts'

let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase(`
    create table parents (id int primary key);
    create table children (id int, parent int references parents deferrable initially deferred);
    create table places (id int, place int, constraint one_each unique (place) deferrable initially immediate);
    create table audit (entry text);
    create function note() returns trigger language plpgsql as
      $$ begin insert into audit values (current_setting('app.user', true)); return null; end $$;
    create constraint trigger noted after insert on parents deferrable initially deferred for each row execute function note();
  `)
  db = createDb(database.url, { pool: { max: 4 } })
})

afterAll(async () => {
  await db.close()
  await database.drop()
})

afterEach(async () => {
  expect(await database.query('select id from parents union select id from children')).toEqual([])
})

const setting = async (name = 'app.tenant'): Promise<string> =>
  (await db.scalar<string | null>('select current_setting($1, true)', [name])) ?? ''
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('settings', () => {
  test('of a scope are those of its statements only, also when scopes run at the same time', async () => {
    const request = (tenant: string): Promise<string[]> =>
      db.scope(
        async () => {
          const seen: string[] = []
          for (let i = 0; i < 3; i++) {
            seen.push(await setting())
            await pause(2)
          }
          seen.push(await db.transaction(() => setting()))
          return seen
        },
        { settings: { 'app.tenant': tenant } },
      )

    await sandboxed(db, async () => {
      const seen = await Promise.all([request('a'), request('b'), request('c'), setting()])

      expect(seen).toEqual([Array(4).fill('a'), Array(4).fill('b'), Array(4).fill('c'), ''])
      expect(await setting()).toBe('')
    })
  })

  test('that a transaction set for itself end with it', async () => {
    await sandboxed(db, async () => {
      await db.transaction(async () => {
        await db.status("set local application_name = 'inside'")
        await db.all("select set_config('app.tenant', 'inside', true)")
        expect([await setting('application_name'), await setting()]).toEqual(['inside', 'inside'])
        await db.transaction(() => db.all("select set_config('app.tenant', 'nested', true)"))
        expect(await setting()).toBe('nested')
        expect(await db.transaction(() => setting(), { reuse: false })).toBe('')
        expect(await setting()).toBe('nested')
      })

      expect([await setting('application_name'), await setting()]).toEqual(['', ''])
    })
  })

  test('that are undone by a rollback are undone, and those before it stay', async () => {
    await sandboxed(db, async () => {
      await using connection = await db.acquire()
      const seen = (): Promise<unknown> => connection.scalar("select current_setting('app.tenant', true)")
      await connection.status("set app.tenant = 'before'")
      await connection.transaction(async (tx) => {
        await connection.status("set app.tenant = 'during'")
        expect(await db.transaction(() => setting(), { reuse: false })).toBe('')
        expect(await seen()).toBe('during')
        tx.raiseRollback()
      })

      expect(await setting()).toBe('')
      expect(await seen()).toBe('before')
    })
  })

  test('of a connection are gone when it comes back', async () => {
    await sandboxed(db, async () => {
      await db.scope(async () => {
        await db.status("set statement_timeout = '7s'")
        await db.status('set role pg_monitor')
        expect(await db.scalar('select current_user')).toBe('pg_monitor')
        await caught(db.status('select nothing'))
        expect(await setting('statement_timeout')).toBe('7s')
      })

      expect([await setting('statement_timeout'), await db.scalar('select current_user')]).toEqual(['0', 'postgres'])
    })
  })

  test('that onConnect and the options made are the ground they come back to', async () => {
    const own = createDb(database.url, {
      settings: { 'app.option': 'given' },
      onConnect: async (connection) => {
        await connection.status("set application_name = 'gro''und; 1'")
        await connection.all("select set_config('app.tenant', 'ours', false)")
        await connection.status('set role pg_monitor')
      },
    })
    const ground = (): Promise<unknown> =>
      own.first(`select current_setting('application_name') as name, current_setting('app.tenant') as tenant,
        current_setting('app.option') as option, current_user as role`)
    const expected = { name: "gro'und; 1", tenant: 'ours', option: 'given', role: 'pg_monitor' }
    await sandboxed(own, async () => {
      expect(await ground()).toEqual(expected)
      await own.scope(async () => {
        await own.status("set application_name = 'mine'")
        await own.status("set app.tenant = 'mine'")
        await own.status('set role postgres')
        expect(await ground()).toMatchObject({ name: 'mine', tenant: 'mine', role: 'postgres' })
      })
      expect(await ground()).toEqual(expected)
      await own.transaction(() => own.all("select set_config('app.option', 'local', true)"))
      expect(await ground()).toEqual(expected)
    })
    expect(await ground()).toEqual(expected)
    await own.close()
  })

  test('that limit how long a transaction may be open or idle do not end that of the sandbox', async () => {
    const idle = 'idle_in_transaction_session_timeout'
    const own = createDb(database.url, { transactionIdleTimeoutMs: 60_001, settings: { [idle]: '60002' } })
    const limit = (): Promise<unknown> => own.scalar(`show ${idle}`)
    await sandboxed(own, async () => {
      expect(await limit()).toBe('0')
      const twice = async (): Promise<unknown> => (await own.scalar('select 1'), limit())
      // A limit travels with the first statement, and is taken away behind it.
      expect([await own.transaction(twice, { idleTimeoutMs: 60_003 }), await limit()]).toEqual(['0', '0'])
      expect([await own.scope(twice, { settings: { [idle]: '60004' } }), await limit()]).toEqual(['0', '0'])
      await own.scope(async () => {
        await own.status(`set ${idle} = 60005`)
        expect(await limit()).toBe('0')
        await own.status(`set application_name = 'after'; set ${idle} = 60006`)
        expect([await own.transaction(twice), await limit()]).toEqual(['0', '0'])
      })
      expect(await limit()).toBe('0')
    })
    expect(await limit()).toBe('60002ms')
    await own.close()
  })

  test('with the isolation of the engine give the sandbox that isolation', async () => {
    const own = createDb(database.url, { isolation: 'repeatable read' })
    const level = await sandboxed(own, () =>
      own.transaction(() => own.scalar("select current_setting('transaction_isolation')"), {
        isolation: 'repeatable read',
      }),
    )
    await own.close()

    expect(level).toBe('repeatable read')
  })
})

describe('what travels in front of a statement', () => {
  test('joins the transaction around it, where a separate one begins with several statements or for the object of the driver', async () => {
    const audit = async (): Promise<unknown[]> =>
      (await db.all('select entry from audit order by entry')).map(({ entry }) => entry)
    await sandboxed(db, async () => {
      await db.transaction(async () => {
        await db.status("insert into audit values ('1')")
        await db.transaction(() => db.status("insert into audit values ('2'); insert into audit values ('3')"), {
          reuse: false,
        })
        const settings = { 'app.tenant': 'a' }
        await db.scope(() => db.status("insert into audit values ('4'); select 1"), { reuse: false, settings })
        await using connection = await db.acquire()
        const last = "insert into audit values ('5')"
        // The driver `socket` has no object to lend.
        const client = isOnPg ? ((await connection.rawConnection()) as { query(text: string): Promise<unknown> }) : null
        await connection.transaction(() => client?.query(last) ?? connection.status(last))
      })

      expect(await audit()).toEqual(['1', '2', '3', '4', '5'])
    })
  })
})

describe('what a session can hold', () => {
  test('is gone when the connection that made it came back', async () => {
    const work = async (): Promise<void> =>
      db.scope(async () => {
        await db.status('create temp table mine (n int)')
        await db.status('prepare plan as select 1')
        await db.all('select pg_advisory_lock(870707)')
        await db.status('declare rows cursor with hold for select 1')
      })

    await sandboxed(db, async () => {
      await work()
      await work()
      const held = await onServer(
        "select count(*)::int as n from pg_locks where locktype = 'advisory' and objid = 870707",
      )
      await db.all('select 1')

      expect(held).toEqual([{ n: 1 }])
      expect(
        await onServer("select count(*)::int as n from pg_locks where locktype = 'advisory' and objid = 870707"),
      ).toEqual([{ n: 0 }])
    })
    expect(await db.all("select relname from pg_class where relname = 'mine'")).toEqual([])
  })

  test('stays as long as somebody else holds such a thing', async () => {
    await sandboxed(db, async () => {
      await db.scope(async () => {
        await db.status('create temp table kept (n int)')
        const other = await db.acquire()
        await other.status('create temp table other (n int)')
        await other.release()
        await db.status('insert into kept values (1)')
        expect(await db.all('select n from kept')).toEqual([{ n: 1 }])
      })
    })
  })

  test('is nothing that is told at COMMIT: notifications are never sent', async () => {
    await sandboxed(db, async () => {
      await db.scope(async () => {
        await db.status('listen news')
        await db.status("notify news, 'never'")
        expect(await db.all('select pg_listening_channels()')).toEqual([])
      })
    })
  })

  test('does not move the clock: now() is the beginning of the sandbox, clock_timestamp() goes on', async () => {
    await sandboxed(db, async () => {
      const [first, second] = [await db.scalar('select now()'), await db.transaction(() => db.scalar('select now()'))]

      expect(second).toEqual(first)
    })
  })
})

describe('constraints that are deferred', () => {
  test('are checked when the transaction commits, where the violation surfaces', async () => {
    await sandboxed(db, async () => {
      const error = await caught(
        db.transaction(async () => {
          await db.status('insert into children values (1, 99)')
          expect(await db.all('select * from children')).toHaveLength(1)
        }),
      )

      expect(error).toBeInstanceOf(ForeignKeyViolationError)
      expect(error).toMatchObject({ outcome: 'rolled_back' })
      expect(await db.all('select * from children')).toEqual([])
      await db.transaction(async () => {
        await db.status('insert into children values (1, 1)')
        await db.transaction(() => db.status('insert into children values (2, 1)'))
        await db.transaction(() => db.status('insert into children values (3, 1)'), { reuse: false })
        await db.status('insert into parents values (1)')
      })
      expect(await db.all('select * from children')).toHaveLength(3)
    })
  })

  test('are checked by each statement outside of a transaction, before and after one', async () => {
    const alone = (): Promise<unknown> => caught(db.status('insert into children values (1, 99)'))
    await sandboxed(db, async () => {
      expect(await alone()).toBeInstanceOf(ForeignKeyViolationError)
      await db.transaction(() => db.status('insert into parents values (1)'))
      expect(await alone()).toBeInstanceOf(ForeignKeyViolationError)
      expect(await db.all('select * from children')).toEqual([])
    })
  })

  test('run their triggers for good, once', async () => {
    await sandboxed(db, async () => {
      await db.transaction(async () => {
        await db.all("select set_config('app.user', 'ann', true)")
        await db.status('insert into parents values (1)')
        expect(await db.all('select * from audit')).toEqual([])
      })
      await db.transaction(() => db.all('select 1'))

      expect(await db.all('select * from audit')).toEqual([{ entry: 'ann' }])
    })
  })

  test('only within the transaction that asked for it are checked at its end', async () => {
    const swap = async (): Promise<void> => {
      await db.status('update places set place = 3 - place')
      await db.status('update places set place = place')
    }
    const collide = (): Promise<unknown> => db.status('update places set place = 1')
    await sandboxed(db, async () => {
      await db.status('insert into places values (1, 1), (2, 2)')
      await db.transaction(async () => {
        await db.status('set constraints one_each deferred')
        await db.status('update places set place = 2 where id = 1')
        await db.status('update places set place = 1 where id = 2')
      })
      const late = caught(
        db.transaction(async () => {
          await db.status('set constraints all deferred')
          await collide()
          await db.all('select 1')
        }),
      )

      expect(await late).toBeInstanceOf(UniqueViolationError)
      expect(await caught(collide())).toBeInstanceOf(UniqueViolationError)
      await swap()
      expect(await db.all('select place from places order by id')).toEqual([{ place: 1 }, { place: 2 }])
    })
  })

  test('by several statements in one text are checked at its end, and those after it as before', async () => {
    const insert = 'insert into children values (1, 99)'
    await sandboxed(db, async () => {
      const several = await caught(db.status(`set constraints all deferred; ${insert}`))
      expect(several).toBeInstanceOf(ForeignKeyViolationError)
      await db.status('set constraints all deferred; select 1')

      expect(await caught(db.status(insert))).toBeInstanceOf(ForeignKeyViolationError)
      expect(await db.all('select * from children')).toEqual([])
    })
  })

  test('may be made inside', async () => {
    await sandboxed(db, async () => {
      await db.status('create table own (id int, parent int references parents deferrable initially deferred)')
      const insert = (): Promise<unknown> => db.status('insert into own values (1, 99)')

      expect(await caught(insert())).toBeInstanceOf(ForeignKeyViolationError)
      const error = await caught(db.transaction(async () => void (await insert(), await db.all('select 1'))))
      expect(error).toBeInstanceOf(ForeignKeyViolationError)
    })
  })
})
