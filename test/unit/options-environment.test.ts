/** What a postgres URL and the options leave out comes from the variables of libpq. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InvalidOptionError } from '../../src/errors/index.ts'
import { type EngineOptions, resolveOptions } from '../../src/options/options.ts'

const before = { ...process.env }
const forget = (): void => {
  for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name]
}
beforeEach(forget)
afterEach(() => {
  forget()
  for (const [name, value] of Object.entries(before)) if (name.startsWith('PG')) process.env[name] = value
})

/** What the driver gets, with the password spelled out. */
async function connection(
  variables: Readonly<Record<string, string>>,
  source?: string | EngineOptions,
  options?: EngineOptions,
): Promise<Record<string, unknown>> {
  Object.assign(process.env, variables)
  const { connection: given } = resolveOptions(source, options)
  const password = given['password'] as (() => unknown) | undefined
  return { ...given, password: await password?.() }
}

function problems(variables: Readonly<Record<string, string>>, source?: string | EngineOptions): string {
  Object.assign(process.env, variables)
  try {
    resolveOptions(source)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidOptionError)
    return (error as Error).message
  }
  return 'accepted'
}

const all = { PGHOST: 'db', PGPORT: '6543', PGUSER: 'app', PGPASSWORD: 's3cret', PGDATABASE: 'shop' }

describe('variables of libpq', () => {
  test('name what neither URL nor options name', async () => {
    expect(await connection(all, 'postgres://')).toMatchObject({
      host: 'db',
      port: 6543,
      user: 'app',
      password: 's3cret',
      database: 'shop',
    })
    expect(await connection(all, { pool: { max: 2 } })).toMatchObject({ host: 'db', user: 'app' })
  })

  test('give way to the URL and to options, each member for itself', async () => {
    const given = await connection(all, 'postgres://me@other/db2', { port: 1 })

    expect(given).toMatchObject({ host: 'other', port: 1, user: 'me', password: 's3cret', database: 'db2' })
  })

  test('are nothing when they are empty', async () => {
    expect(await connection({ PGHOST: '', PGPORT: '' }, 'postgres://')).toMatchObject({ host: 'localhost', port: 5432 })
  })

  test('give a port to a host that is named without one', async () => {
    expect(await connection({ PGPORT: '6543' }, 'postgres://other')).toMatchObject({ host: 'other', port: 6543 })
  })

  test('may name several hosts, and which of them will do', async () => {
    const given = await connection(
      { PGHOST: 'one,two', PGPORT: '1,2', PGTARGETSESSIONATTRS: 'primary', PGLOADBALANCEHOSTS: 'random' },
      'postgres://',
    )

    expect(given).toMatchObject({
      places: [
        { host: 'one', port: 1 },
        { host: 'two', port: 2 },
      ],
      targetSessionAttrs: 'primary',
      loadBalanceHosts: true,
    })
  })

  test('say what the server is told at the start, and how long to wait for it', async () => {
    Object.assign(process.env, { PGAPPNAME: 'jobs', PGOPTIONS: '-c work_mem=1MB', PGCONNECT_TIMEOUT: '3' })
    const { connection: given, pool } = resolveOptions('postgres://h')

    expect(given).toMatchObject({ applicationName: 'jobs', options: '-c work_mem=1MB' })
    expect(pool.connectTimeoutMs).toBe(3_000)
  })

  test('say how TLS is used, unless the URL or the option ssl does', async () => {
    const required = { rejectUnauthorized: false }

    expect((await connection({ PGSSLMODE: 'require' }, 'postgres://h'))['ssl']).toMatchObject(required)
    expect((await connection({ PGSSLMODE: 'require' }, 'postgres://h?sslmode=disable'))['ssl']).toBe(false)
    expect((await connection({ PGSSLMODE: 'disable' }, 'postgres://h', { ssl: true }))['ssl']).toMatchObject({
      rejectUnauthorized: true,
    })
    expect(await connection({ PGSSLMODE: 'prefer' }, 'postgres://h')).toMatchObject({ sslFallback: 'prefer' })
    const old = { PGSSLMODE: '', PGREQUIRESSL: '1' }
    expect((await connection(old, 'postgres://h'))['ssl']).toMatchObject({ rejectUnauthorized: false })
    expect((await connection(old, 'postgres://h?sslmode=disable'))['ssl']).toBe(false)
    expect((await connection({ ...old, PGREQUIRESSL: '0' }, 'postgres://h'))['ssl']).toBe(false)
    expect((await connection({ ...old, PGSSLMODE: 'disable' }, 'postgres://h'))['ssl']).toBe(false)
  })

  test('do not speak to PGlite', async () => {
    expect(await connection(all, 'pglite://memory')).not.toHaveProperty('host')
  })

  test.each([
    [{ PGPORT: 'x' }, 'postgres://h', '"PGPORT" of the engine (an environment variable) must be a number'],
    [{ PGSSLMODE: 'on' }, 'postgres://h', '"PGSSLMODE" of the engine (an environment variable) is not known'],
    [
      { PGCLIENTENCODING: 'latin1' },
      'postgres://h',
      '"PGCLIENTENCODING" of the engine (an environment variable) must be UTF8',
    ],
    [
      { PGSERVICE: 'shop' },
      'postgres://',
      '"PGSERVICE" of the engine (an environment variable) names a service that is in no file',
    ],
    [
      { PGREQUIREPEER: 'root' },
      'postgres://h',
      '"PGREQUIREPEER" of the engine (an environment variable) is not supported',
    ],
    [
      { PGSSLCRLDIR: '/etc/crl' },
      'postgres://h?sslmode=verify-full',
      '"PGSSLCRLDIR" of the engine (an environment variable) is not supported',
    ],
    [{ PGSSLMODE: 'verify-ca' }, 'postgres://h', 'no authority is given'],
    [{ PGSSLROOTCERT: 'root.crt' }, 'postgres://h?sslmode=verify-full', 'root.crt, which cannot be read'],
    [{ PGSSLCERT: 'me.crt' }, 'postgres://h?sslmode=require', 'me.crt, which cannot be read'],
    [{ PGPORT: '1,2' }, 'postgres://h', '"PGPORT" of the engine (an environment variable) does not fit'],
    [{ PGCHANNELBINDING: 'require' }, 'postgres://h', 'without TLS'],
  ])('are refused by name where they cannot be honoured: %o', (variables, source, message) => {
    expect(problems(variables, source)).toContain(message)
  })

  test.each([
    [{ PGSSLROOTCERT: 'root.crt' }, 'postgres://h'],
    [{ PGSSLROOTCERT: 'system', PGSSLMODE: 'verify-full' }, 'postgres://h'],
    [{ PGHOST: 'a,b', PGPORT: '1,2,3' }, 'postgres://h:1'],
  ])('do no harm where they say nothing of the connection: %o', (variables, source) => {
    expect(problems(variables, source)).toBe('accepted')
  })

  test('never appear in a message with their value', () => {
    expect(problems({ PGPORT: 'hunter2', PGSSLMODE: 'hunter2', PGHOST: 'hunter2 x' }, 'postgres://')).not.toContain(
      'hunter2',
    )
  })
})

describe('what a URL says beside names', () => {
  test('becomes options, which win', () => {
    const url = 'postgres://h?pgbouncer=true&connection_limit=3&pool_timeout=2&application_name=a'

    expect(resolveOptions(url)).toMatchObject({
      pooler: 'transaction',
      prepare: false,
      pool: { max: 3, acquireTimeoutMs: 2_000 },
      connection: { applicationName: 'a' },
    })
    expect(resolveOptions(url, { pool: { max: 7 }, applicationName: 'b' })).toMatchObject({
      pool: { max: 7, acquireTimeoutMs: 2_000 },
      connection: { applicationName: 'b' },
    })
  })

  test('makes the schema the search path of every session', () => {
    expect(resolveOptions('postgres://h?schema=a"b').connection['settings']).toEqual({ search_path: '"a""b"' })
  })

  test('refuses a schema behind a pooler, except the one that is there anyway', () => {
    expect(problems({}, 'postgres://h?pgbouncer=true&schema=app')).toContain(
      '"schema" of the engine cannot be used with pooler',
    )
    expect(problems({}, 'postgres://h?pgbouncer=true&schema=public')).toBe('accepted')
  })

  test('cannot name hosts where the options do', () => {
    const two = [{ host: 'a' }, { host: 'b', port: 1 }]

    expect(() => resolveOptions('postgres://h', { hosts: two })).toThrow(
      '"hosts" of the engine contradicts host and port',
    )
    expect(() => resolveOptions('postgres://a,b', { host: 'a' })).toThrow(
      '"host" of the engine contradicts the hosts of the URL',
    )
    expect(resolveOptions({ hosts: two, targetSessionAttrs: 'standby' }).connection).toMatchObject({
      places: [
        { host: 'a', port: 5432 },
        { host: 'b', port: 1 },
      ],
      targetSessionAttrs: 'standby',
    })
  })
})
