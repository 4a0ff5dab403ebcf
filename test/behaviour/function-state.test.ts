/**
 * What functions and triggers of the database leave in a session stays with the scope that called them, and nobody else ever sees
 * it: judged by the catalogue, which is read once.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { createDb, type Db, type EngineOptions, isGeneverError, type NoticeEvent } from 'genever'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { wantedDrivers } from '../support/extent.ts'
import { functionsKnown } from '../support/functions.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'

const schema = `
create table t (id serial primary key, who int);
create table plain (id int primary key);
create table child (id int references plain);
create function set_tenant(tenant text) returns text language sql as $$ select set_config('app.tenant', tenant, false) $$;
create function local_tenant(tenant text) returns text language sql as $$ select set_config('app.tenant', tenant, true) $$;
create function add_one(n int) returns int language plpgsql as $$ begin return n + 1; end $$;
create function looks_bad(a text) returns int language plpgsql as $$ begin if a is null then execute 'select 1'; end if; return 1; end $$;
create function take_lock() returns void language sql as $$ select pg_advisory_lock(7) $$;
create function to_role() returns void language plpgsql as $$ begin set role pg_monitor; end $$;
create function make_temp() returns void language plpgsql as $$ begin create temp table mine (n int); end $$;
create function hear() returns void language plpgsql as $$ begin listen news; end $$;
create function prepares() returns void language plpgsql as $$ begin execute 'prepare p as select 1'; end $$;
create function opens() returns void language plpgsql as $$ begin execute 'declare c cursor with hold for select 1'; end $$;
create function draws(who int) returns int language sql as $$ insert into t (who) values (who) returning id $$;
create function last() returns bigint language sql as $$ select lastval() $$;
create procedure pr_tenant() language plpgsql as $$ begin perform set_config('app.tenant', 'p', false); end $$;
create function audit() returns trigger language plpgsql as $$ begin perform set_config('app.tenant', 'trigger', false); return new; end $$;
create table audited (n int);
create trigger a before insert on audited for each row execute function audit();
create view tenants as select set_tenant('view') as tenant;
`

let made = 0

const tenant = "select coalesce(current_setting('app.tenant', true), '')"

function noticesOf(code: NoticeEvent['code']): () => readonly NoticeEvent[] {
  const heard = hear(`functions-${made}`)
  onTestFinished(() => heard[Symbol.dispose]())
  return () => heard.notices.filter((each) => each.code === code)
}

async function place(options: EngineOptions = {}): Promise<Db> {
  const database = await freshDatabase(schema)
  onTestFinished(() => database.drop())
  return on(database, options)
}

async function on({ url }: FreshDatabase, options: EngineOptions): Promise<Db> {
  const db = createDb(url, { name: `functions-${++made}`, ...options })
  await db.open()
  onTestFinished(async () => void (await db.close({ timeoutMs: 1000 })))
  return db
}

/** Whether a scope that has run `text` and waits, for so long at most, gives its connection to another, on a pool of one. */
async function recalled(db: Db, text: string, patienceMs = 150): Promise<boolean> {
  const before = db.stats().recalls
  const answer = await db.scope(async () => {
    await db.status(text)
    return db.detached(async () => db.scalar('select 7', [], { timeoutMs: patienceMs }).catch(() => 'kept'))
  })
  expect(answer).toBe(db.stats().recalls > before ? 7 : 'kept')
  return answer === 7
}

/** As long as the slowest machine takes. */
const everMs = 30_000

const leaving = [
  "select set_tenant('7')",
  'select take_lock()',
  'select to_role()',
  'select make_temp()',
  'select hear()',
  'select prepares()',
  'select opens()',
  "select looks_bad('')",
  'insert into audited values (1)',
  'with x as (insert into audited values (2) returning n) select * from x',
  'call pr_tenant()',
  "do $$ begin perform set_config('app.tenant', 'do', false); end $$",
]
const ofView = 'select * from tenants'
const leavingNothing = [
  'select add_one(1)',
  "select local_tenant('7')",
  'select draws(1)',
  'insert into t (who) values (1)',
  'insert into plain values (1)',
  'create table made (n int)',
  'update t set who = 2',
  'truncate child',
]

describe.each([true, false])('with the catalogue %s before', (known) => {
  // A view is seen only where the catalogue is known.
  const texts = known ? [...leaving, ofView] : leaving
  let database: FreshDatabase
  beforeAll(async () => {
    database = await freshDatabase(schema)
    return () => database.drop()
  })
  /** What is tried here changes sessions, not what functions do: one database serves all. */
  const single = async (): Promise<Db> => {
    const db = await on(database, { pool: { max: 1 } })
    if (known) await functionsKnown(db)
    return db
  }

  test.each(texts)('a scope keeps its connection after: %s', async (text) => {
    const db = await single()

    expect(await recalled(db, text)).toBe(false)
  })

  test.each(leavingNothing)('a scope gives it away after: %s', async (text) => {
    const db = await single()

    expect(await recalled(db, text, everMs)).toBe(true)
  })

  test.each(texts)('the next borrower finds nothing of: %s', async (text) => {
    const db = await single()

    for (const run of [() => db.scope(() => db.status(text)), () => db.status(text).catch(() => {})]) {
      await run()
      const left = await db.scope(async () => [
        await db.scalar(tenant),
        await db.scalar('select current_user = session_user'),
        await db.scalar("select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"),
        await db.scalar('select count(*)::int from pg_class where relnamespace = pg_my_temp_schema()'),
        await db.scalar('select count(*)::int from pg_listening_channels()'),
        await db.scalar('select count(*)::int from pg_prepared_statements where from_sql'),
        await db.scalar('select count(*)::int from pg_cursors where is_holdable'),
      ])
      expect(left).toEqual(['', true, 0, 0, 0, 0, 0])
    }
  })
})

test('twenty scopes that set a tenant by a function, on two connections, each keep their own', async () => {
  const db = await place({ pool: { max: 2 } })

  await Promise.all(
    Array.from({ length: 20 }, (_, me) =>
      db.scope(async () => {
        await db.scalar('select set_tenant($1)', [String(me)])
        await pause(2)
        expect(await db.scalar(tenant)).toBe(String(me))
      }),
    ),
  )
  expect(await db.scope(() => db.scalar(tenant))).toBe('')
})

test('harmless functions keep nothing, stateful ones do, whatever their source looks like', async () => {
  const db = await place({
    pool: { max: 1 },
    functions: { harmless: ['looks_bad', 'audit'], stateful: ['add_one'] },
  })
  await functionsKnown(db)

  expect(await recalled(db, "select looks_bad('')", everMs)).toBe(true)
  expect(await recalled(db, 'insert into audited values (1)', everMs)).toBe(true)
  expect(await recalled(db, 'select add_one(1)')).toBe(false)
})

test('a name in both lists is refused, and so is one with a schema', async () => {
  for (const functions of [{ harmless: ['a'], stateful: ['a'] }, { harmless: ['public.a'] }, { stateful: 'a' }]) {
    const error = await caught(createDb('postgres://localhost/x', { functions } as never).open())
    expect([error.name, error.message]).toEqual(['InvalidOptionError', expect.stringContaining('functions.')])
  }
})

test('a trigger that keeps a connection is told once, with advice, and the pin names it', async () => {
  const db = await place({ pool: { max: 1 } })
  await functionsKnown(db)
  const notices = noticesOf('pinned-by-trigger')

  const message = await db.scope(async () => {
    await db.status('insert into audited values (1)')
    await db.status('insert into audited values (2)')
    const error = await caught(db.detached(() => db.scalar('select 1', [], { timeoutMs: 50 })))
    return error.message
  })

  expect(notices().map(({ places }) => places[0])).toEqual(['audit (a trigger of audited)'])
  expect(message).toContain('session pinned by audit (a trigger of audited)')
})

test('notices of a connection that is kept leave the tags of its statement out', async () => {
  const db = await place({ pool: { max: 1 }, query: { tags: { route: '/secret' } } })
  await functionsKnown(db)
  const [triggers, numbers] = [noticesOf('pinned-by-trigger'), noticesOf('pinned-for-numbers')]
  const draw = (patienceMs: number): Promise<unknown> =>
    db.scope(async () => {
      await db.status('insert into t (who) values (1)')
      await db.detached(() => db.scalar('select 1', [], { timeoutMs: patienceMs })).catch(() => {})
      await db.scalar('select last()').catch(() => {})
    })

  await db.scope(() => db.status('insert into audited values (1)'))
  expect(triggers().map(({ places }) => places[1])).toEqual(['insert into audited values (1)'])
  await draw(everMs)
  await draw(50)
  expect(numbers().map(({ places }) => places[0])).toEqual(['insert into t (who) values (1)'])
})

test('functions made or replaced by this engine are judged anew, also at the end of a transaction', async () => {
  const db = await place({ pool: { max: 1 } })
  await functionsKnown(db)
  expect(await recalled(db, 'select add_one(1)', everMs)).toBe(true)

  await db.transaction(async () => {
    await db.status(
      "create or replace function add_one(n int) returns int language plpgsql as $$ begin set app.tenant = 'x'; return 1; end $$",
    )
    await db.scalar('select add_one(1)')
  })
  expect(await recalled(db, 'select add_one(1)')).toBe(false)
  expect(await db.scope(() => db.scalar(tenant))).toBe('')

  await db.status('create or replace function add_one(n int) returns int language sql as $$ select 2 $$')
  expect(await recalled(db, 'select add_one(1)', everMs)).toBe(true)
})

test('code that never leaves a connection idle has its sessions reset only until the functions are known', async () => {
  const db = await place({ pool: { max: 1 } })
  using heard = hear(`functions-${made}`)
  const resets = (): number => heard.connections.filter(({ event }) => event === 'reset').length
  const insert = (): Promise<unknown> => db.transaction(() => db.status('insert into child values (null)'))
  await insert()
  expect(resets()).toBeGreaterThan(0)
  for (let before = -1; before < resets();) {
    before = resets()
    await insert()
  }
  expect(resets()).toBeLessThan(10)
})

test.each([
  ['alter table audited rename to renamed', 'insert into renamed values (1)'],
  ['create table part_1 partition of parts for values from (0) to (10)', 'insert into part_1 values (1)'],
  ['alter table child add constraint goes foreign key (id) references other on delete cascade', 'delete from other'],
])('a table that this engine moves keeps its triggers: %s', async (moves, writes) => {
  const database = await freshDatabase(`${schema}
    create table parts (n int) partition by range (n);
    create trigger a before insert on parts for each row execute function audit();
    create table other (id int primary key); insert into other values (1); alter table child drop constraint child_id_fkey;
    insert into child values (1);
    create function audit_old() returns trigger language plpgsql as $$ begin perform set_config('app.tenant', 'x', false); return old; end $$;
    create trigger b before delete on child for each row execute function audit_old()`)
  onTestFinished(() => database.drop())
  const db = await on(database, { pool: { max: 1 } })
  await functionsKnown(db)

  await db.status(moves)
  await functionsKnown(db)

  expect(await recalled(db, writes)).toBe(false)
  expect(await db.scope(() => db.scalar(tenant))).toBe('')
})

test('beside a function that sets something no read leaves the connection', async () => {
  const db = await place({ pool: { min: 3, max: 3 } })
  await functionsKnown(db)
  await until(() => db.stats().idle === 3)

  for (let round = 0; round < 10; round++)
    await db.scope(async () => {
      await db.scalar('select set_tenant($1)', ['7'])
      expect(await Promise.all([db.scalar(tenant), db.scalar(tenant), db.scalar(tenant)])).toEqual(['7', '7', '7'])
    })
  for (let round = 0; round < 10; round++) {
    const [, count] = await db.scope(async () => {
      await db.status('truncate t')
      return Promise.all([db.scalar('select draws(1)'), db.scalar<number>('select count(*)::int from t')])
    })
    expect(count).toBe(1)
  }
})

describe('numbers that were drawn', () => {
  test('lastval() in a function is refused after a wait, and the insert keeps its connection from then on', async () => {
    const db = await place({ pool: { max: 1 } })
    await functionsKnown(db)
    const notices = noticesOf('pinned-for-numbers')
    const run = (patienceMs: number): Promise<unknown> =>
      db.scope(async () => {
        const id = await db.scalar('insert into t (who) values (1) returning id')
        await db
          .detached(() =>
            db.scope((own) => own.status('insert into t (who) values (2)', [], { timeoutMs: patienceMs })),
          )
          .catch(() => {})
        const last = await db.scalar('select last()').catch((error: unknown) => error)
        return last === id ? 'right' : isGeneverError(last, 'SESSION_MOVED')
      })

    expect(await run(everMs)).toBe(true)
    expect(await run(100)).toBe('right')
    expect(notices().length).toBe(1)
  })

  test('a scope that has drawn none is refused, and a statement without a frame', async () => {
    const db = await place({ pool: { max: 1 } })
    await functionsKnown(db)
    await db.status('insert into t (who) values (1)')

    for (const text of ['select lastval()', "select currval('t_id_seq')", 'select last()']) {
      const inside = await caught(db.scope(() => db.scalar(text)))
      expect(inside.message).toContain('this scope has drawn none')
      const alone = await caught(db.scalar(text))
      expect(alone.message).toContain('any free connection')
    }
  })

  test('an insert that draws nothing brings back no number of somebody else', async () => {
    const db = await place({ pool: { max: 1 } })
    await functionsKnown(db)
    await db.scope(async () => {
      await db.status('insert into t (who) values (1)')
      await db.scalar('select lastval()')
    })
    await db.scope(() => db.status('insert into t (who) values (2)'))

    const error = await db.scope(async () => {
      await db.status('insert into plain values (9)')
      return caught(db.scalar('select lastval()'))
    })

    expect(error).toMatchObject({ sqlState: '55000' })
  })
})

describe('a pin by text is asked when others wait', () => {
  test.each([
    ['select pg_advisory_lock(3)', 'select pg_advisory_unlock(3)'],
    ['listen news', 'unlisten news'],
    ['create temp table w (n int)', 'drop table w'],
    ['prepare p as select 1', 'deallocate p'],
  ])('%s, then %s', async (takes, gives) => {
    const db = await place({ pool: { max: 1 } })
    await functionsKnown(db)

    expect(await recalled(db, takes)).toBe(false)
    const before = db.stats().recalls
    await db.scope(async () => {
      await db.status(takes)
      await db.status(gives)
      expect(await db.detached(() => db.scalar('select 7'))).toBe(7)
    })
    expect(db.stats().recalls).toBe(before + 1)
  })

  test('a setting of an application is never asked for, and stays', async () => {
    const db = await place({ pool: { max: 1 } })
    await functionsKnown(db)

    expect(await recalled(db, "set app.tenant = '7'")).toBe(false)
  })

  test('a wait for oneself on a session that is still pinned fails at once', async () => {
    const db = await place({ pool: { max: 1, acquireTimeoutMs: 20_000 } })
    await functionsKnown(db)

    const error = await db.scope(async () => {
      await db.status('create temp table w (n int)')
      return caught(db.acquire())
    })

    expect(error.name).toBe('SelfDeadlockError')
  })
})

test.skipIf(!wantedDrivers().includes('pglite'))('all of it holds on PGlite too', async () => {
  await using db = createDb(`pglite://memory/functions-${process.pid}`, { pool: pgliteStart })
  await db.status(schema)
  await functionsKnown(db)

  expect(await recalled(db, "select set_tenant('7')")).toBe(false)
  expect(await recalled(db, 'insert into audited values (1)')).toBe(false)
  expect(await recalled(db, 'select add_one(1)', everMs)).toBe(true)
  await db.status('insert into audited values (1)')
  expect(await db.scope(() => db.scalar(tenant))).toBe('')
})
