/** The start of a session of our own over the network, on a real server: TLS, every kind of login, versions, cancel, unix sockets. */

import { createPrivateKey } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuthenticationError, ConnectError, createDb } from 'genever'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Failure } from '../../src/driver/driver.ts'
import type { ServerOptions } from '../../src/driver/postgres/parameters/server-options.ts'
import { type OpenWire, openWire } from '../../src/driver/socket/open-wire.ts'
import { caught } from '../support/caught.ts'
import { wantedDrivers } from '../support/extent.ts'
import { certificate, clientCertificate, clientKey, revokingItself, revokingNothing } from '../support/certificate.ts'
import { type OwnServer, ownServer, securely } from '../support/own-server.ts'
import { plainSession } from '../support/plain-session.ts'
import { until } from '../support/until.ts'

const rules = `local all all trust
hostssl all scram 127.0.0.1/32 scram-sha-256
hostnossl all scram 127.0.0.1/32 scram-sha-256
host all prepared 127.0.0.1/32 scram-sha-256
host all md5 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
hostssl all cert 127.0.0.1/32 cert
host all postgres 127.0.0.1/32 trust
`
const secret = 'pä ss\u00a0wort'
const secretSql = `'${secret}'`

let server: OwnServer
let directory: string
let port: number

beforeAll(async () => {
  server = await ownServer()
  port = Number(new URL(server.url).port)
  const [place] = await server.query("select current_setting('unix_socket_directories') as directory")
  directory = (place as { directory: string }).directory
  for (const role of ['scram', 'clear']) await server.query(`create role ${role} login password ${secretSql}`)
  await server.query(`set password_encryption to 'md5'; create role md5 login password ${secretSql}`)
  await server.query('create role cert login; create role prepared login')
  await securely(server, rules, {
    files: { 'root.crt': clientCertificate },
    settings: { ssl_ca_file: 'root.crt', md5_password_warnings: 'off' },
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

async function open(user: string, options: ServerOptions = {}): Promise<OpenWire> {
  const opened = await openWire(
    { host: '127.0.0.1', port, user, database: 'postgres', password: secret, ...options },
    { notice() {} },
    performance.now() + 50_000,
  )
  onTestFinished(() => opened.wire.destroy())
  return opened
}

async function refused(opening: Promise<OpenWire>): Promise<Failure> {
  return (await opening.then(
    () => undefined,
    (failure: unknown) => failure,
  )) as Failure
}

const how = (ssl: object): ServerOptions['ssl'] => ({ rejectUnauthorized: false, ...ssl })
const verified = { ssl: { rejectUnauthorized: true, ca: certificate } } as const
const whoAmI = 'select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()'

describe.skipIf(!wantedDrivers().includes('socket'))('files of TLS', () => {
  const home = process.env['HOME']

  /** A home with these files in `.postgresql`; it is the user's until the test ends. */
  async function homeWith(files: Readonly<Record<string, readonly [text: string, mode: number]>>): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'genever-home-'))
    await mkdir(join(path, '.postgresql'))
    for (const [name, [text, mode]] of Object.entries(files))
      await writeFile(join(path, '.postgresql', name), text, { mode })
    process.env['HOME'] = path
    onTestFinished(async () => {
      process.env['HOME'] = home
      await rm(path, { recursive: true })
    })
    return join(path, '.postgresql')
  }

  async function ask(parameters: string, host: string = 'localhost', driver: string = 'postgres'): Promise<unknown> {
    await using db = createDb(`${driver}://cert@${host}:${port}/postgres?${parameters}`)
    return await db.first(whoAmI)
  }
  const welcome = { current_user: 'cert', ssl: true }
  const files = {
    'a.crt': [certificate, 0o644],
    'b.crt': [clientCertificate, 0o644],
    'b.key': [clientKey, 0o600],
  } as const

  test('are read where the URL names them', async () => {
    const at = await homeWith(files)
    const mine = `sslcert=${at}/b.crt&sslkey=${at}/b.key`

    expect(await ask(`sslmode=verify-full&sslrootcert=${at}/a.crt&${mine}`)).toEqual(welcome)
    expect(await ask(`sslmode=require&${mine}`)).toEqual(welcome)
    expect(await caught(ask(`sslmode=require&${mine}&sslcertmode=disable`))).toBeInstanceOf(AuthenticationError)
    // The authority counts in every mode, as in libpq.
    for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full'])
      expect(await caught(ask(`sslmode=${mode}&sslrootcert=${at}/b.crt&${mine}`))).toBeInstanceOf(ConnectError)
    expect((await caught(ask(`sslmode=require&sslcert=${at}/b.crt&sslkey=${at}/none`))).message).toContain(
      'cannot be read',
    )
    await chmod(join(at, 'b.key'), 0o644)
    expect((await caught(ask(`sslmode=require&${mine}`))).message).toMatch(/others may read.*0600/)
  })

  test('may hold a key with a password, or in DER', async () => {
    const key = createPrivateKey(clientKey)
    const locked = key.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
    const at = await homeWith({ ...files, 'locked.key': [String(locked), 0o600] })
    await writeFile(join(at, 'der.key'), key.export({ format: 'der', type: 'pkcs8' }), { mode: 0o600 })
    const mine = `sslmode=require&sslcert=${at}/b.crt`

    for (const driver of ['socket', 'pg']) {
      const by = (parameters: string): Promise<unknown> => ask(`${mine}&${parameters}`, 'localhost', driver)
      expect(await by(`sslkey=${at}/locked.key&sslpassword=open%20sesame`)).toEqual(welcome)
      expect(await by(`sslkey=${at}/der.key`)).toEqual(welcome)
      for (const wrong of ['', '&sslpassword=wrong']) {
        const error = await caught(by(`sslkey=${at}/locked.key${wrong}`))
        expect(error.name).toBe('InvalidOptionError')
        expect(error.message).not.toContain('wrong')
      }
    }
  })

  test('may say which certificates are revoked, and which versions of TLS will do', async () => {
    const at = await homeWith({ ...files, 'none.crl': [revokingNothing, 0o644], 'itself.crl': [revokingItself, 0o644] })
    const mine = `sslmode=verify-full&sslrootcert=${at}/a.crt&sslcert=${at}/b.crt&sslkey=${at}/b.key`

    for (const driver of ['socket', 'pg']) {
      const by = (parameters: string): Promise<unknown> => ask(`${mine}&${parameters}`, 'localhost', driver)
      expect(await by(`sslcrl=${at}/none.crl`)).toEqual(welcome)
      expect((await caught(by(`sslcrl=${at}/itself.crl`))).message).toContain('CERT_REVOKED')
      const version = 'select version from pg_stat_ssl where pid = pg_backend_pid()'
      await using old = createDb(`${driver}://cert@localhost:${port}/postgres?${mine}&ssl_max_protocol_version=TLSv1.2`)
      expect(await old.scalar(version)).toBe('TLSv1.2')
      await using current = createDb(
        `${driver}://cert@localhost:${port}/postgres?${mine}&ssl_min_protocol_version=TLSv1.3`,
      )
      expect(await current.scalar(version)).toBe('TLSv1.3')
      const none = 'ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2'
      expect(await caught(by(none))).toBeInstanceOf(ConnectError)
    }
  })

  test('are those in ~/.postgresql where nobody names any', async () => {
    await homeWith({ 'root.crt': files['a.crt'], 'postgresql.crt': files['b.crt'], 'postgresql.key': files['b.key'] })

    expect(await ask('sslmode=verify-full')).toEqual(welcome)
    expect(await ask('sslmode=prefer')).toEqual(welcome)
    await homeWith({ 'root.crt': files['b.crt'], 'postgresql.crt': files['b.crt'], 'postgresql.key': files['b.key'] })
    expect(await caught(ask('sslmode=require'))).toBeInstanceOf(ConnectError)
    expect((await caught(ask('sslmode=no-verify&sslcert=/dev/null'))).name).toBe('InvalidOptionError')
  })
})

describe.skipIf(!wantedDrivers().includes('socket'))('a session of our own', () => {
  test.each<readonly [string, string, ServerOptions, string]>([
    ['SCRAM without TLS', 'scram', {}, 'f'],
    ['SCRAM over TLS', 'scram', { ssl: how({}), channelBinding: 'disable' }, 't'],
    ['SCRAM bound to the certificate', 'scram', { ssl: how({}), channelBinding: 'require' }, 't'],
    [
      'SCRAM bound over direct TLS',
      'scram',
      { ssl: how({}), channelBinding: 'require', sslNegotiation: 'direct' },
      't',
    ],
    ['MD5', 'md5', {}, 'f'],
    ['a password in clear on this machine', 'clear', {}, 'f'],
    ['a password in clear over verified TLS', 'clear', { ...verified, allowCleartextPassword: undefined }, 't'],
    ['a certificate of the client', 'cert', { ssl: how({ cert: clientCertificate, key: clientKey }) }, 't'],
    ['no password at all', 'postgres', verified, 't'],
  ])('begins with %s', async (_, user, options, encrypted) => {
    const opened = await open(user, options)

    expect(await plainSession(opened).ask(whoAmI)).toEqual([[user, encrypted]])
    expect(await plainSession(opened).ask('select pg_backend_pid()')).toEqual([[String(opened.processId)]])
    expect(opened.parameters.get('client_encoding')).toBe('UTF8')
    expect(opened.parameters.get('session_authorization')).toBe(user)
  })

  test('begins with any password that the server takes, in the form that it has given it', async () => {
    const parts = [
      'a',
      '\u00b2',
      '\u{1f600}',
      '\ufb01',
      'e\u0301',
      '\u05d0',
      '\u0627\u0628',
      '1',
      '\u00a0',
      '\u00ad',
      '\u1e9e',
      '\u4e03',
    ]
    for (let seed = 1; seed <= 60; seed++) {
      const password = Array.from(
        { length: 1 + (seed % 4) },
        (_, at) => parts[(seed * (7 + 5 * at)) % parts.length],
      ).join('')
      await server.query(`set scram_iterations to 1; alter role prepared password '${password}'`)
      await using db = createDb({
        driver: 'socket',
        host: '127.0.0.1',
        port,
        user: 'prepared',
        password,
        database: 'postgres',
      })
      expect([password, await db.scalar('select current_user')]).toEqual([password, 'prepared'])
    }
  })

  test('begins over a Unix socket, where there is no TLS', async () => {
    const opened = await open('scram', { host: directory, ssl: true })
    expect(await plainSession(opened).ask(whoAmI)).toEqual([['scram', 'f']])
  })

  test.each<readonly [string, string, ServerOptions, Partial<Failure>, RegExp]>([
    ['a wrong password', 'scram', { password: 'wrong' }, { kind: 'server' }, /28P01/],
    ['no password', 'scram', { password: undefined }, { kind: 'server' }, /28P01/],
    ['a wrong MD5 password', 'md5', { password: 'wrong' }, { kind: 'server' }, /28P01/],
    [
      'a password in clear that nobody allowed',
      'clear',
      { allowCleartextPassword: false },
      { kind: 'lost' },
      /in clear/,
    ],
    ['an unknown authority', 'scram', { ssl: { rejectUnauthorized: true } }, { kind: 'lost' }, /self-signed/],
    [
      'a name that the certificate has not',
      'scram',
      { ssl: { rejectUnauthorized: true, ca: certificate, servername: 'other.example' } },
      { kind: 'lost' },
      /other\.example/,
    ],
    ['nothing to bind: MD5', 'md5', { channelBinding: 'require', ssl: how({}) }, { kind: 'lost' }, /MD5/],
    [
      'nothing to bind: trust',
      'postgres',
      { channelBinding: 'require', ssl: how({}) },
      { kind: 'lost' },
      /does not ask/,
    ],
    ['nothing to bind: no TLS', 'scram', { channelBinding: 'require' }, { kind: 'lost' }, /does not offer/],
    ['no certificate of the client', 'cert', { ssl: how({}) }, { kind: 'server' }, /28000/],
    ['an unknown database', 'postgres', { database: 'nowhere' }, { kind: 'server' }, /3D000/],
  ])('is refused with %s', async (_, user, options, failure, said) => {
    const { cause, ...found } = await refused(open(user, options))

    expect(found).toMatchObject({ outcome: 'not_started', ...failure })
    expect(JSON.stringify(found.fields ?? {}) + String(cause)).toMatch(said)
    expect(JSON.stringify(found.fields ?? {}) + String(cause)).not.toContain(secret)
  })

  test('has the settings, the name and the encoding of its start', async () => {
    const opened = await open('postgres', {
      applicationName: 'start-up',
      options: '-c work_mem=3MB',
      settings: { search_path: '"a b", "C\\d"', 'app.x': true },
    })
    const shown = ['application_name', 'work_mem', 'search_path', 'app.x'].map((name) => `current_setting('${name}')`)

    expect(await plainSession(opened).ask(`select ${shown.join()}`)).toEqual([
      ['start-up', '3MB', '"a b", "C\\d"', 'true'],
    ])
  })

  test('speaks version 3.0 by default, and 3.2 with its longer key where that is asked for', async () => {
    expect((await open('postgres')).version).toBe('3.0')
    const newer = await open('postgres', { protocolVersion: '3.2' })
    expect(newer.version).toBe('3.2')
    expect(await plainSession(newer).ask('select 1')).toEqual([['1']])
  })

  test.each<readonly [string, ServerOptions]>([
    ['3.0', {}],
    ['3.2', { protocolVersion: '3.2' }],
    ['3.0 over TLS', { ssl: how({}) }],
    ['3.2 over direct TLS', { protocolVersion: '3.2', ssl: how({}), sslNegotiation: 'direct' }],
    ['3.0 over a Unix socket', { host: '/' }],
  ])('is cancelled over a connection made for it, as it was opened: %s', async (_, options) => {
    const opened = await open('postgres', options.host === '/' ? { host: directory } : options)
    const watcher = plainSession(await open('postgres'))
    const session = plainSession(opened)
    const stopped = session.ask('select pg_sleep(60)').catch(String)
    const running = `select count(*) from pg_stat_activity where pid = ${opened.processId} and wait_event = 'PgSleep'`
    await until(async () => (await watcher.ask(running))[0]?.[0] === '1')

    expect(await opened.cancel(performance.now() + 50_000)).toBe(true)
    expect(await stopped).toContain('canceling statement due to user request')
    expect(await session.ask('select 1')).toEqual([['1']])
  })

  test('reads answers of any size, and goes on', async () => {
    for (const options of [{}, { ssl: how({}) }, { ssl: how({}), sslNegotiation: 'direct' as const }]) {
      const session = plainSession(await open('postgres', options))
      const [[text] = []] = await session.ask("select repeat('x', 3000000)")
      expect(text).toHaveLength(3_000_000)
      expect(
        await session.ask(
          'select count(*), sum(length(t)) from (select repeat(i::text, 50) t from generate_series(1, 999) i) q',
        ),
      ).toEqual([['999', String((9 + 180 + 2_700) * 50)]])
      expect(await session.ask('select i from generate_series(1, 20000) i')).toHaveLength(20_000)
    }
  })

  test('says good-bye, and is gone', async () => {
    const opened = await open('postgres')
    const watcher = plainSession(await open('postgres'))
    await opened.wire.end()

    const left = `select count(*) from pg_stat_activity where pid = ${opened.processId}`
    await until(async () => (await watcher.ask(left))[0]?.[0] === '0')
  })

  test('stops reading while it is paused, and loses nothing', async () => {
    for (const options of [{}, { ssl: how({}) }]) {
      const opened = await open('postgres', options)
      const session = plainSession(opened)
      const watcher = plainSession(await open('postgres'))
      const waits = `select count(*) from pg_stat_activity where pid = ${opened.processId} and wait_event = 'ClientWrite'`
      for (let turn = 0; turn < 3; turn++) {
        opened.wire.pauseReading()
        let answered = false
        const rows = session.ask("select i || repeat('y', 1000) from generate_series(1, 30000) i").then((found) => {
          answered = true
          return found
        })
        await until(async () => (await watcher.ask(waits))[0]?.[0] === '1')
        expect(answered).toBe(false)
        opened.wire.resumeReading()
        expect((await rows).map(([text]) => parseInt(String(text)))).toEqual(
          Array.from({ length: 30_000 }, (_, i) => i + 1),
        )
      }
    }
  })
})
