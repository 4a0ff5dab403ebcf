/** What libpq understands: the same strings, files and variables lead `psql` and a `db` to the same session. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuthenticationError, ConnectError, createDb, UsageError } from 'genever'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { onServer, serverUrl } from '../support/database.ts'
import { wantedDrivers } from '../support/extent.ts'

const secret = "pa:ss'w\\ord x"
const role = `genever_strings_${process.pid}`
const directory = mkdtempSync(join(tmpdir(), 'genever-strings-'))
const passwords = join(directory, 'passwords')
const services = join(directory, 'services')
const { hostname: host, port } = new URL(serverUrl())

beforeAll(async () => {
  await onServer(`drop role if exists ${role}`)
  await onServer(`create role ${role} login password '${secret.replaceAll("'", "''")}'`)
  writeFileSync(
    passwords,
    `# comment\n*:1:*:*:wrong\n${host}:${port}:*:${role}:${secret.replaceAll(/[:\\]/g, '\\$&')}\n`,
    {
      mode: 0o600,
    },
  )
  writeFileSync(services, `[mine]\nhost=${host}\nport=${port}\nuser=${role}\ndbname=postgres\npassword=${secret}\n`)
  return async () => {
    await onServer(`drop role ${role}`)
    rmSync(directory, { recursive: true })
  }
})

type Case = readonly [source: string, answer: string | null, variables?: Readonly<Record<string, string>>]

const before = { ...process.env }
afterEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name]
  for (const [name, value] of Object.entries(before)) if (name.startsWith('PG')) process.env[name] = value
})

const question = "select current_user || ' ' || current_database() || ' ' || current_setting('application_name')"
const quoted = `'${secret.replaceAll(/['\\]/g, '\\$&')}'`

/** What `psql` finds, null where it refuses; undefined on a machine without it. */
function byPsql(source: string): string | null | undefined {
  try {
    const env = { ...process.env, PGAPPNAME: process.env['PGAPPNAME'] ?? 'given' }
    return execFileSync('psql', ['-XAtw', '-d', source, '-c', question], { env, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trimEnd()
  } catch (error) {
    return (error as { code?: unknown }).code === 'ENOENT' ? undefined : null
  }
}

async function byDb(source: string): Promise<string | null> {
  process.env['PGAPPNAME'] ??= 'given'
  await using db = createDb(source, { pool: { connectTimeoutMs: 50_000 } })
  return await db.scalar<string>(question).then(String, (error: unknown) => {
    expect(error).toSatisfy((it) => it instanceof ConnectError || it instanceof UsageError)
    return null
  })
}

describe.skipIf(!wantedDrivers().includes('socket'))('psql and a db agree', () => {
  const here = `host=${host} port=${port}`
  const mine = `${role} postgres given`

  const cases: readonly Case[] = [
    [`${here} user=${role} dbname=postgres password=${quoted}`, mine],
    [`  ${here}\tuser = ${role} dbname= 'postgres' password = ${quoted} `, mine],
    [`${here} user=postgres user=${role} dbname=postgres password=${quoted}`, mine],
    [`${here} user=postgres application_name='two words'`, 'postgres postgres two words'],
    [`host=127.0.0.1,${host} port=1,${port} user=postgres`, 'postgres postgres given'],
    [`postgres://postgres@127.0.0.1:1,${host}:${port}/`, 'postgres postgres given'],
    [`postgres://${role}:${encodeURIComponent(secret)}@${host}:${port}/postgres`, mine],
    [`postgres:///postgres?host=${host}&port=${port}&user=${role}&password=${encodeURIComponent(secret)}`, mine],
    [`${here} user=${role} dbname=postgres passfile=${passwords}`, mine],
    [`postgres://${role}@${host}:${port}/postgres`, mine, { PGPASSFILE: passwords }],
    [
      `host=elsewhere.example hostaddr=127.0.0.1 port=${port} user=${role} dbname=postgres`,
      null,
      { PGPASSFILE: passwords },
    ],
    ['service=mine', mine, { PGSERVICEFILE: services }],
    ['postgres://?service=mine', mine, { PGSERVICEFILE: services }],
    ['application_name=x', `${role} postgres x`, { PGSERVICE: 'mine', PGSERVICEFILE: services, PGUSER: 'postgres' }],
    ['service=mine user=postgres', 'postgres postgres given', { PGSERVICEFILE: services }],
    ['service=other', null, { PGSERVICEFILE: services }],
    ['service=mine', null, { PGSERVICEFILE: join(directory, 'nowhere') }],
    [`${here} user=${role} dbname=postgres password=wrong`, null, { PGPASSFILE: passwords }],
    [`${here} user=postgres nonsense=1`, null],
    [`${here} user=postgres nonsense=''`, null],
    [`${here} user='postgres'application_name='x'dbname=postgres`, 'postgres postgres x'],
    [`${here} user=a'b dbname=postgres`, null],
    [`${here} user='postgres`, null],
    [`${here} user`, null],
    [`host=${host},${host} port=1,2,3 user=postgres`, null],
    [`${here} user=postgres require_auth=none`, 'postgres postgres given'],
  ]
  test.each(cases.map((each) => [each[0], each] as const))('%s', async (source, [, answer, variables = {}]) => {
    Object.assign(process.env, variables)
    const old = /require_auth/.test(source)
    expect([answer, undefined]).toContain(old ? answer : byPsql(source))
    expect(await byDb(source)).toBe(answer)
  })

  test('on a password that is asked for: of the file that is found last, per server', async () => {
    process.env['PGPASSFILE'] = passwords
    const open = join(directory, 'open')
    writeFileSync(open, `*:*:*:*:${secret}\n`, { mode: 0o644 })
    await using refused = createDb(`${here} user=${role} passfile=${open}`)
    expect((await caught(refused.open())).message).toMatch(/open was not used.*0600/)
    await using wrong = createDb(`${here} user=${role} dbname=postgres require_auth=md5`)
    expect((await caught(wrong.open())).message).toContain('require_auth allows only md5')
    await using none = createDb(`${here} user=${role} dbname=postgres passfile=${join(directory, 'none')}`)
    expect(await caught(none.open())).toBeInstanceOf(AuthenticationError)
  })
})
