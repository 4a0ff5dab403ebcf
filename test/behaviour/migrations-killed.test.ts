/**
 * Runs of migrations whose process is killed, again and again, at whatever statement: what comes out is what one clean run makes,
 * and each file was applied once. KILLS=200 TENANTS=50 is the longest form.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createDb } from 'genever'
import { migrate } from 'genever/migrations'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { random } from '../support/junk.ts'
import { hasPgBouncer, startPgBouncer } from '../support/pooler.ts'
import { root } from '../support/source.ts'
import { until } from '../support/until.ts'

const kills = Number(process.env['KILLS'] ?? sample({ once: 2, matrix: 12, soak: 50 }))
const tenants = Number(process.env['TENANTS'] ?? 4)
const seed = sampleSeed(1)
const schemas = Array.from({ length: tenants }, (_, i) => `tenant_${i}`)

const files = {
  '0001_tables.sql': `create table team (id int primary key, name text);
    create table person (id int primary key, team int references team, mail text);
    insert into team select n, 'team ' || n from generate_series(1, 40) n;
    insert into person select n, 1 + n % 40, n || '@example.org' from generate_series(1, 400) n`,
  '0002_index.sql': `create unique index concurrently person_mail on person (mail);
    alter table person add column born date;
    create index concurrently if not exists person_team on person (team);
    insert into team values (100, 'once')`,
  '0003_enum.sql': `create type mood as enum ('fine');
    alter type mood add value 'tired';
    alter table person add column mood mood default 'tired'`,
  '0004_rows.sql': `update person set mail = 'x' || mail; insert into team values (101, 'once more')`,
  '0005_drop.sql': `drop index concurrently person_team; vacuum person; create index concurrently person_born on person (born)`,
  '0006_view.sql':
    'create view teams as select name, count(*) as n from team join person on team = team.id group by name',
}

test.skipIf(hasPgBouncer)('PgBouncer is not installed, so nothing was killed behind it', () => {})

let directory = ''
let program = ''

beforeAll(async () => {
  await mkdir(join(root, '.build'), { recursive: true })
  directory = await mkdtemp(join(root, '.build', 'killed-'))
  program = join(directory, 'migrate.mjs')
  await build({
    stdin: {
      contents: `
        import { createDb } from './src/index.ts'
        import { migrate } from './src/migrations/index.ts'
        const [url, folder, pooler] = process.argv.slice(2)
        const db = createDb(url, { pool: { max: 6 }, ...(pooler === 'yes' ? { pooler: 'transaction' } : {}) })
        const onProgress = () => process.stdout.write('.')
        const { applied } = await migrate(db, { folder, schemas: /^tenant_/, concurrency: 3, onProgress })
        await db.close()
        process.stdout.write('done ' + applied.length)`,
      resolveDir: root,
    },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['pg', '@electric-sql/pglite'],
    outfile: program,
  })
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(directory, 'migrations'), { recursive: true })
    await writeFile(join(directory, 'migrations', name), text)
  }
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const started = (url: string, pooled: boolean): ReturnType<typeof spawn> =>
  spawn(process.execPath, [program, url, join(directory, 'migrations'), pooled ? 'yes' : 'no'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })

/** Whether it ended by itself; else it was killed so many statements and milliseconds after its start. */
async function runKilled(url: string, pooled: boolean, statements: number, ms: number): Promise<boolean> {
  const child = started(url, pooled)
  let said = ''
  let begun = 0
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    begun += text.length
    if (begun >= statements) setTimeout(() => child.kill('SIGKILL'), ms)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  // Nothing but the kill stops a run.
  if (code !== null && code !== 0) throw new Error(`A run failed: ${said}`)
  return code === 0
}

async function picture(database: FreshDatabase, schema: string): Promise<unknown> {
  const query = (text: string): Promise<unknown[]> => database.query(text, [schema])
  return {
    columns: await query(
      'select table_name, column_name, data_type, column_default from information_schema.columns where table_schema = $1 order by 1, 2',
    ).then((rows) => JSON.stringify(rows).replaceAll(schema, 'TENANT')),
    indexes: await query(
      `select relname, indisvalid, indisunique from pg_index join pg_class on pg_class.oid = indexrelid
        join pg_namespace n on n.oid = relnamespace where nspname = $1 order by 1`,
    ),
    enums: await query(
      `select enumlabel from pg_enum join pg_type t on t.oid = enumtypid join pg_namespace n on n.oid = typnamespace
        where nspname = $1 order by enumsortorder`,
    ),
    rows: await database.query(
      `select (select count(*)::int from "${schema}".team) as teams, (select md5(string_agg(p::text, '' order by id)) from "${schema}".person p) as people`,
    ),
    record: await database.query(`select name from "${schema}".genever_migrations order by id`),
    steps: await database.query(`select * from "${schema}".genever_migrations_steps`),
  }
}

const made = (names: readonly string[]): string => names.map((name) => `create schema ${name}`).join(';')

async function expectedPicture(): Promise<unknown> {
  await using database = await freshDatabase(made(['tenant_0']))
  const db = createDb(database.url)
  await migrate(db, { folder: join(directory, 'migrations'), schemas: ['tenant_0'] })
  await db.close()
  return await picture(database, 'tenant_0')
}

test.each([['directly', false], ...(hasPgBouncer ? ([['through PgBouncer', true]] as const) : [])] as const)(
  `killed ${kills} times on ${tenants} tenants, %s: the schema is that of one clean run`,
  { timeout: 180_000 + kills * tenants * 200 },
  async (_, pooled) => {
    const expected = await expectedPicture()
    const next = random(seed)
    let killed = 0
    // A round ends when all is applied; then others begin anew.
    for (let round = 0; killed < kills; round++) {
      await using database = await freshDatabase(made(schemas))
      await using pooler = pooled ? await startPgBouncer(database.url, 12) : null
      const url = pooler?.url ?? database.url
      while (killed < kills && !(await runKilled(url, pooled, 1 + next(25), next(12)))) killed++
      await once(started(url, pooled), 'close')
      expect(await runKilled(url, pooled, Infinity, 0)).toBe(true)
      for (const schema of schemas)
        expect({ seed, round, schema, ...((await picture(database, schema)) as object) }).toEqual({
          seed,
          round,
          schema,
          ...(expected as object),
        })
      // The server ends a session a moment after its client has left.
      const held =
        "select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
      await until(async () => (await database.query(held)).length === 0, { what: 'no lock is held' })
    }
    expect(killed).toBe(kills)
  },
)
