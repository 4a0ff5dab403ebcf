/** A prepared statement runs only while names mean what they meant to it: the search_path, the role, the tables. */

import { createDb, type Db, type EngineOptions, StalePlanError } from 'genever'
import { fc } from '../support/fast-check.ts'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, query } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  /** Two schemas with a table `t` each, of other columns and types. */
  const schemas = async (options: EngineOptions = {}): Promise<{ db: Db; a: string; b: string }> => {
    const name = await driver.table('n int')
    const [a, b] = [`${name}_a`, `${name}_b`]
    const db = await driver.single(options)
    await db.status(`create schema ${a}; create schema ${b}; create table ${a}.t (id int, x text[]);
      create table ${b}.t (id int, x jsonb, more int default 7)`)
    return { db, a, b }
  }

  const within = <T>(db: Db, schema: string, work: () => Promise<T>): Promise<T> =>
    db.scope(work, { settings: { search_path: schema } })

  test.each([true, false])('one text means another table in each schema (prepare: %s)', async (prepare) => {
    const { db, a, b } = await schemas({ prepare })
    const insert = 'insert into t (id, x) values ($1, $2)'
    const select = 'select * from t where id = $1'
    const [bakedInsert, bakedSelect] = [db.bake(insert), db.bake(select)]
    for (let round = 0; round < 3; round++) {
      for (const [schema, wanted] of [
        [a, { x: [] as unknown }],
        [b, { x: [], more: 7 }],
        [a, { x: ['q'] }],
        [b, { x: ['q'], more: 7 }],
      ] as const) {
        const clean = (): Promise<unknown> => db.status(`truncate ${schema}.t`)
        const row = { id: 1, ...wanted }
        await clean()
        await within(db, schema, () => db.status(insert, [1, row.x]))
        expect(await within(db, schema, () => db.all(select, [1]))).toEqual([row])
        await clean()
        await within(db, schema, () =>
          db.transaction(async (tx) => {
            await tx.executeMany(insert, [
              [1, row.x],
              [2, row.x],
            ])
            expect(await tx.all(select, [1])).toEqual([row])
            expect(await tx.iterate(select, [1]).read()).toEqual(row)
          }),
        )
        await clean()
        await within(db, schema, () => db.transaction(() => bakedInsert.all([1, row.x])))
        expect(await within(db, schema, () => db.transaction(() => bakedSelect.all([1])))).toEqual([row])
      }
    }
  })

  test.runIf(driver.most > 1)('what only one session sees of a table says nothing of it to others', async () => {
    const [t, db] = [await driver.table('id int, x text[]'), await driver.db()]
    const insert = `insert into ${t} (id, x) values ($1, $2)`
    await using handle = await db.acquire()
    await using other = await db.begin()

    await handle.transaction(async (tx) => {
      await tx.status(`create temporary table ${t} (id int, x int[])`)
      await tx.status(insert, [1, [7]])
      await other.status(insert, [2, ['a']])
    })
    await handle.status(`${insert} returning *`, [1, [8]])
    await other.status(`${insert} returning *`, [3, ['b']])

    expect(await handle.all(`select x from ${t} order by x`)).toEqual([{ x: [7] }, { x: [8] }])
    expect(await other.all(`select x from ${t} order by x`)).toEqual([{ x: ['a'] }, { x: ['b'] }])
  })

  /** The name of a function that makes a temporary table. */
  const making = async (db: Db, table: string, definition: string): Promise<string> => {
    const name = `make_${table}`
    await db.status(`create function ${name}() returns int language plpgsql as
      $$ begin create temporary table ${table} ${definition}; return 1; end $$`)
    await functionsKnown(db)
    return name
  }

  test.runIf(driver.most > 1)('nor does a table that a function has made for one session', async () => {
    const [t, db] = [await driver.table('id int, x text[]'), await driver.db()]
    const make = await making(db, t, '(id int, x int[])')
    const insert = `insert into ${t} (id, x) values ($1, $2) returning *`
    await using handle = await db.acquire()
    await using other = await db.begin()

    await handle.transaction((tx) => tx.scalar(`select ${make}()`))
    expect(await handle.all(insert, [1, [8]])).toEqual([{ id: 1, x: [8] }])
    expect(await other.all(insert, [3, ['b']])).toEqual([{ id: 3, x: ['b'] }])
  })

  test.each(['nothing', 'transaction'] as const)(
    'a temporary table that a function makes hides another one at once (around it: %s)',
    async (around) => {
      const [t, db] = [await driver.table('id int, x int'), await driver.single()]
      await db.status(`insert into ${t} values (1, 1)`)
      const make = await making(db, t, 'as select 2 as id, 2 as x')
      const read = `select id, x from ${t} where id > $1`
      await db.scope(async () => {
        // The server looks anew where the first temporary table of a session is made.
        await db.status(`create temporary table first_${t} (id int)`)
        for (let run = 0; run < 4; run++) expect(await db.all(read, [0])).toEqual([{ id: 1, x: 1 }])
        const hidden = async (): Promise<void> => {
          await db.scalar(`select ${make}()`)
          expect(await db.all(read, [0])).toEqual([{ id: 2, x: 2 }])
        }
        await (around === 'nothing' ? hidden() : db.transaction(hidden))
        expect(await db.all(read, [0])).toEqual([{ id: 2, x: 2 }])
      })
      expect(await db.all(read, [0])).toEqual([{ id: 1, x: 1 }])
    },
  )

  test('settings of scopes are set and taken back by statements that are prepared once, whatever the path is', async () => {
    const { db, a, b } = await schemas()
    const prepared = (): Promise<string[]> =>
      db
        .all<{ statement: string }>(
          "select statement from pg_prepared_statements where statement !~ 'pg_prepared' order by 1",
        )
        .then((rows) => rows.map(({ statement }) => statement))

    for (let turn = 0; turn < 6; turn++) {
      const schema = turn % 2 === 0 ? a : b
      const path = await within(db, schema, () => db.scalar('show search_path'))
      expect(path).toBe(schema)
      expect(await db.scalar('show search_path')).not.toBe(schema)
    }

    const framed = (await prepared()).filter((text) => /set_config|RESET/.test(text))
    expect(framed).toContain('select set_config($1, $2, false)')
    expect(new Set(framed).size).toBe(framed.length)
  })

  test('a statement is prepared once for each path, however the server spells that', async () => {
    const { db, a, b } = await schemas()
    const paths = [`"${a}", pg_temp`, `"${b}", pg_temp`, `"${a}"`, `"${a}", "${b}"`]
    const text = 'select count(*)::int from t'
    for (let turn = 0; turn < 3; turn++)
      for (const path of paths)
        await within(db, path, async () => {
          for (let more = 0; more < 3; more++) await db.scalar(text)
        })

    const prepared = await db.all('select name from pg_prepared_statements where statement = $1', [text])
    expect(prepared).toHaveLength(paths.length)
  })

  test('in a transaction the path may change by text, and a rollback takes that back', async () => {
    const { db, a, b } = await schemas()
    await db.status(`insert into ${a}.t values (1); insert into ${b}.t values (2)`)
    const read = async (): Promise<unknown> => (await db.all<{ id: number }>('select * from t'))[0]?.id
    for (const [to, back] of [
      [`set search_path to ${b}`, 2],
      [`set search_path = "${b}", public`, 2],
      [`set local search_path to ${b}`, 1],
      [`select set_config('search_path', '${b}', false)`, 2],
      [`select set_config('search_path', '${b}', true)`, 1],
      [`set schema '${b}'`, 2],
      [`do $$ begin perform set_config('search_path', '${b}', false); end $$`, 2],
    ] as const) {
      await db.scope(
        async () => {
          expect(await read()).toBe(1)
          await db.transaction(async () => {
            expect(await read()).toBe(1)
            await db.status(to)
            expect(await read()).toBe(2)
          })
          expect(await read()).toBe(back)
        },
        { settings: { search_path: a } },
      )
      await db.scope(
        async () => {
          const undone = db.transaction(async () => {
            expect(await read()).toBe(1)
            await caught(
              db.transaction(async () => {
                await db.status(to)
                expect(await read()).toBe(2)
                throw new Error('inner')
              }),
            )
            expect(await read()).toBe(1)
            await db.status(to)
            expect(await read()).toBe(2)
            throw new Error('outer')
          })
          expect(await caught(undone)).toMatchObject({ message: 'outer' })
          await db.transaction(async () => expect(await read()).toBe(1))
        },
        { settings: { search_path: a } },
      )
    }
    expect(await db.scalar(`select count(*) from ${a}.t`)).toBe(1)
  })

  test('a transaction that reads, alters and reads succeeds, also when the first alter was rolled back', async () => {
    const name = await driver.table('id int')
    const db = await driver.single()
    await db.status(`insert into ${name} values (1)`)
    const [read, count] = [`select * from ${name}`, `select count(*) from ${name} where id = any($1)`]
    const baked = db.bake(read)
    const readAll = async (run: Db = db): Promise<unknown[]> => {
      await run.scalar(count, [[1]])
      return [await run.first(read), (await baked.all())[0], await run.iterate(read).read()]
    }
    const all = (row: object): object[] => [row, row, row]
    await readAll()
    const change = async (): Promise<void> => {
      expect(await readAll()).toEqual(all({ id: 1 }))
      await db.status(`alter table ${name} add column added int`)
      expect(await readAll()).toEqual(all({ id: 1, added: null }))
      await caught(
        db.transaction(async () => {
          await db.status(`alter table ${name} drop column added`)
          await db.status(`alter table ${name} alter column id type text`)
          expect(await db.scalar(count, [['1']])).toBe(1)
          expect(await db.first(read)).toEqual({ id: '1' })
          throw new Error('back')
        }),
      )
      expect(await readAll()).toEqual(all({ id: 1, added: null }))
    }
    await caught(db.transaction(() => change().then(() => Promise.reject(new Error('all back')))))
    await db.transaction(async () => expect(await readAll()).toEqual(all({ id: 1 })))
    await db.transaction(change)
    await db.transaction(async () => expect(await readAll()).toEqual(all({ id: 1, added: null })))
  })

  test('a temporary table that hides another one, and its end, are seen', async () => {
    const name = await driver.table('id int')
    const db = await driver.single()
    const read = `select * from ${name}`
    await db.status(`insert into ${name} values (1)`)
    expect(await db.transaction(() => db.first(read))).toEqual({ id: 1 })
    await db.transaction(async () => {
      expect(await db.first(read)).toEqual({ id: 1 })
      await db.status(`create temp table ${name} on commit drop as select 2 as id, 'x' as name`)
      expect(await db.first(read)).toEqual({ id: 2, name: 'x' })
    })
    await db.scope(async () => {
      await db.status(`create temp table ${name} as select 3 as id, 'y' as name`)
      expect(await db.transaction(() => db.first(read))).toEqual({ id: 3, name: 'y' })
    })
    expect(await db.transaction(() => db.first(read))).toEqual({ id: 1 })
  })

  test('all runs of a baked statement have one name on the server, which plain text shares', async () => {
    const db = await driver.single()
    const text = `select cast(:n as int) as n, 'named ${Math.random()}' as s`
    const written = text.replace(':n', '$1')
    const baked = db.bake<{ n: number }, { n: number }>(text)
    const again = db.bake(text)
    for (const n of [1, 2]) await baked.all({ n })
    await baked.with({ timeoutMs: 5000 }).all({ n: 3 })
    await again.all({ n: 4 })
    await db.all(written, [5])

    expect(await db.all('select name from pg_prepared_statements where statement = $1', [written])).toHaveLength(1)
  })

  test('a baked text that is longer than what is kept of texts is prepared, and without prepared statements none is', async () => {
    for (const prepare of [true, false]) {
      const long = `select 1 * $1 as n -- ${prepare} ${'long '.repeat(30_000)}`
      const db = await driver.single({ prepare })
      const baked = db.bake<{ n: number }, [number]>(long)
      for (let n = 0; n < 8; n++) expect(await baked.scalar([n])).toBe(n)
      const listed = await db.scalar('select count(*) from pg_prepared_statements where statement like $1', [
        `%* $1 as n -- ${prepare} long%`,
      ])
      expect(listed).toBe(prepare ? 1 : 0)
    }
  })

  test('while names mean the same nothing is parsed twice', async () => {
    const { db, a, b } = await schemas()
    const prepared = `select count(*) from pg_prepared_statements where not from_sql and statement = $1`
    const text = 'select id from t where id = $1'
    const counted = (): Promise<unknown> => db.scalar(prepared, [text])
    for (let i = 0; i < 4; i++)
      for (const schema of [a, b]) {
        await within(db, schema, () => db.all(text, [i]))
        await within(db, schema, () => db.transaction(() => db.all(text, [i])))
        await caught(
          within(db, schema, () =>
            db.transaction(() => db.all(text, [i]).then(() => Promise.reject(new Error('back')))),
          ),
        )
      }
    expect(await counted()).toBe(2)
  })

  const operations = fc.array(
    fc.constantFrom(
      'read',
      'begin',
      'savepoint s1',
      'savepoint s2',
      'rollback to s1',
      'rollback to savepoint "s2"',
      'release s1',
      'rollback',
      'commit',
      'set search_path to A',
      'set local search_path to B',
      "select set_config('search_path', 'B', false)",
      "select set_config('search_path', 'A', true)",
      'reset search_path',
      'alter table A.t add column added int',
      'alter table A.t drop column added',
      'create or replace view B.v as select 1 as n',
      'select 1 / 0',
      'set search_path to B; select 1',
    ),
    { minLength: 5, maxLength: 30 },
  )

  test('whatever happens to path and tables, prepared statements answer as unprepared ones do', async () => {
    const { db, a, b } = await schemas()
    await db.status(`insert into ${a}.t values (1, '{}'); insert into ${b}.t values (2, '[]')`)
    const run = async (connection: Awaited<ReturnType<Db['acquire']>>, texts: readonly string[], fresh: boolean) => {
      const seen: unknown[] = []
      let n = 0
      for (const each of texts) {
        const text = each.replaceAll(/\b[AB]\b/g, (letter) => (letter === 'A' ? a : b))
        const sent =
          each === 'read' ? `select * from t where id < $1${fresh ? ` /* ${Math.random()} ${n++} */` : ''}` : text
        const answer = await connection.status(sent, each === 'read' ? [9] : undefined).then(
          ({ rows }) => rows,
          (error: unknown) => {
            const { sqlState, code } = error as { sqlState?: string; code?: string }
            return sqlState ?? code ?? error
          },
        )
        seen.push(answer)
      }
      return seen
    }
    await fc.assert(
      fc.asyncProperty(operations, async (texts) => {
        const answers: unknown[] = []
        for (const fresh of [false, true]) {
          const connection = await db.acquire()
          answers.push(await run(connection, texts, fresh))
          await connection.status('rollback')
          await connection.release()
          await db.status(`alter table ${a}.t drop column if exists added; drop view if exists ${b}.v`)
        }
        expect(answers[0]).toEqual(answers[1])
      }),
      { numRuns: 60 },
    )
  })
})

describe('another session alters a table', () => {
  test('outside of a transaction the statement is prepared anew; inside, retry runs it again', async () => {
    await using database = await freshDatabase(
      'create table t (id int); create table u (id int); insert into t values (1)',
    )
    await using db = createDb(database.url, { pool: { max: 1 } })
    const reads = ['select * from t', 'select *, 1 as one from t', 'select * from t join u using (id)']
    const all = async (): Promise<void> => {
      for (const text of reads) await db.all(text)
    }
    await all()
    await query(database.url, 'alter table t add a int')
    await all()
    await query(database.url, 'alter table t add b int')
    const error = await caught(db.transaction(all))
    expect(error).toBeInstanceOf(StalePlanError)
    expect(error).toMatchObject({ retryable: true, outcome: 'rolled_back' })
    await db.transaction(all)
    await query(database.url, 'alter table t add c int')
    let attempts = 0
    await db.transaction(
      async () => {
        attempts++
        await all()
      },
      { retry: { limit: 1, intervalMs: 1 } },
    )
    expect(attempts).toBe(2)
    expect(await db.first('select * from t')).toEqual({ id: 1, a: null, b: null, c: null })
  })

  test('the role counts where the path names it', async () => {
    await using database = await freshDatabase('create table t (id int); insert into t values (0)')
    const role = `${database.name}_r`
    await query(
      database.url,
      `create role "${role}" in role pg_read_all_data; create schema "${role}" create table t (id int, who text);
      insert into "${role}".t values (1, 'r'); grant usage on schema "${role}" to "${role}"`,
    )
    await using db = createDb(database.url, { pool: { max: 1 } })
    const read = (): Promise<unknown> => db.transaction(() => db.first('select * from t'))
    for (let i = 0; i < 3; i++) {
      expect(await read()).toEqual({ id: 0 })
      expect(await db.scope(read, { settings: { role } })).toEqual({ id: 1, who: 'r' })
      await db.scope(async () => {
        expect(await read()).toEqual({ id: 0 })
        await db.status(`set role "${role}"`)
        expect(await read()).toEqual({ id: 1, who: 'r' })
      })
    }
    await db.close()
    await query(database.url, `drop owned by "${role}"; drop schema "${role}" cascade; drop role "${role}"`)
  })

  test('what onConnect sets is the path of every statement, prebaked ones too', async () => {
    await using database = await freshDatabase(
      'create table t (id int); create schema app create table t (id int, name text); insert into app.t values (1, $$x$$)',
    )
    await using db = createDb(database.url, {
      pool: { max: 1 },
      prebake: true,
      onConnect: async (connection) => {
        await connection.status('set search_path to app')
      },
    })
    const baked = db.bake('select * from t')
    for (let i = 0; i < 3; i++) {
      expect(await baked.all()).toEqual([{ id: 1, name: 'x' }])
      expect(await db.scope(() => db.transaction(() => baked.all()), { settings: { search_path: 'public' } })).toEqual(
        [],
      )
    }
  })
})
