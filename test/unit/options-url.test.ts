import { inspect } from 'node:util'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { describe, expect, test } from 'vitest'
import { InvalidUrlError } from '../../src/errors/index.ts'
import { parseUrl, type ParsedUrl } from '../../src/options/url.ts'

/** What is known, with the password spelled out. */
function parsed(url: string): Record<string, unknown> {
  const { password, ...rest }: ParsedUrl = parseUrl(url)
  const all = { ...rest, password: password?.() }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

function refusal(url: string): string {
  try {
    parseUrl(url)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidUrlError)
    return (error as Error).message
  }
  return 'accepted'
}

describe('a URL of a server', () => {
  test('names user, password, host, port and database', () => {
    expect(parsed('postgres://app:secret@db.example.com:5433/shop')).toEqual({
      driver: 'postgres',
      user: 'app',
      password: 'secret',
      host: 'db.example.com',
      port: 5433,
      database: 'shop',
    })
  })

  test.each([
    ['postgres://', { driver: 'postgres' }],
    ['postgresql://localhost', { driver: 'postgres', host: 'localhost' }],
    ['POSTGRES://localhost/', { driver: 'postgres', host: 'localhost' }],
    ['pg:///shop', { driver: 'pg', database: 'shop' }],
    ['pg://:5433', { driver: 'pg', port: 5433 }],
    ['mysql://root@localhost/shop', { driver: 'mysql', user: 'root', host: 'localhost', database: 'shop' }],
    ['mariadb://localhost', { driver: 'mysql', host: 'localhost' }],
    ['postgres://app:@localhost', { driver: 'postgres', user: 'app', host: 'localhost' }],
    ['postgres://[::1]:5433/shop', { driver: 'postgres', host: '::1', port: 5433, database: 'shop' }],
    ['postgres://[fe80::1%25eth0]', { driver: 'postgres', host: 'fe80::1%eth0' }],
    ['postgres://%2Fvar%2Frun/shop', { driver: 'postgres', host: '/var/run', database: 'shop' }],
    ['postgres:///shop?host=/var/run', { driver: 'postgres', host: '/var/run', database: 'shop' }],
    ['postgres://a:b:c@h', { driver: 'postgres', user: 'a', password: 'b:c', host: 'h' }],
  ])('may leave things out or write them differently: %s', (url, expected) => {
    expect(parsed(url)).toEqual(expected)
  })

  test('is percent-decoded, and a plus stays a plus', () => {
    expect(parsed('postgres://a%40b:p%2F%3F%23%5B+%20%C3%A9@h/my%20shop?application_name=a+b%26c')).toEqual({
      driver: 'postgres',
      user: 'a@b',
      password: 'p/?#[+ é',
      host: 'h',
      database: 'my shop',
      applicationName: 'a+b&c',
    })
  })

  test('takes the options of libpq that are on the list', () => {
    const url =
      'postgres:///?user=app&dbname=shop&host=db&port=6432&sslmode=verify-full&connect_timeout=7&options=-c%20role%3Dapp'

    expect(parsed(url)).toEqual({
      driver: 'postgres',
      user: 'app',
      database: 'shop',
      host: 'db',
      port: 6432,
      sslmode: 'verify-full',
      connectTimeoutMs: 7_000,
      options: '-c role=app',
    })
  })

  test('may say the same twice, but not differently', () => {
    expect(parsed('postgres://app@db:5432/shop?host=db&port=5432&dbname=shop&user=app')).toMatchObject({ host: 'db' })
    expect(refusal('postgres://db?host=evil')).toContain('host differs from what is said before it')
    expect(refusal('postgres://db/shop?dbname=other')).toContain('dbname differs')
  })
})

describe('a URL that a host or another tool hands out', () => {
  test.each([
    [
      'postgresql://u:p@ep-x-pooler.neon.tech/db?sslmode=require&channel_binding=require',
      { sslmode: 'require', channelBinding: 'require' },
    ],
    [
      'postgres://u:p@pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1',
      { port: 6543, pooler: 'transaction', poolMax: 1 },
    ],
    [
      'postgresql://u:p@h/db?schema=app&pool_timeout=5&statement_cache_size=0',
      { schema: 'app', acquireTimeoutMs: 5_000, statementCacheSize: 0 },
    ],
    ['postgres://h?pool_timeout=0&connect_timeout=0', { acquireTimeoutMs: Infinity, connectTimeoutMs: 2_147_483_647 }],
    ['postgres://h?sslmode=no-verify&uselibpqcompat=true', { sslmode: 'no-verify' }],
    ['postgres://h?sslmode=prefer', { sslmode: 'prefer' }],
    ['postgres://h?ssl=true', { sslmode: 'verify-full' }],
    ['postgres://h?ssl=0', { sslmode: 'disable' }],
    ['postgres://h?sslrootcert=system', { sslmode: 'verify-full', systemRoots: true }],
    [
      'postgres://h?sslmode=verify-full&sslnegotiation=direct&ssl_min_protocol_version=TLSv1.3',
      { sslmode: 'verify-full', sslnegotiation: 'direct', minTls: 'TLSv1.3' },
    ],
    ['postgres://h?options=endpoint%3Dep-x', { options: 'endpoint=ep-x' }],
    [
      'postgres://h?keepalives=1&keepalives_idle=30&client_encoding=UTF8&gssencmode=disable&sslcompression=0',
      { keepAlive: true, keepAliveIdleMs: 30_000 },
    ],
    ['postgres://h?fallback_application_name=shop', { fallbackApplicationName: 'shop' }],
  ])('is understood: %s', (url, expected) => {
    expect(parsed(url)).toMatchObject(expected)
  })
})

describe('a URL with several hosts', () => {
  test.each([
    [
      'postgres://one,two:5433/db?target_session_attrs=read-write',
      [{ host: 'one' }, { host: 'two', port: 5433 }],
      'read-write',
    ],
    [
      'postgres:///db?host=one,two&port=5433',
      [
        { host: 'one', port: 5433 },
        { host: 'two', port: 5433 },
      ],
      undefined,
    ],
    [
      'postgres:///db?host=one,two&port=1,2',
      [
        { host: 'one', port: 1 },
        { host: 'two', port: 2 },
      ],
      undefined,
    ],
    [
      'postgres://[::1]:1,%2Ftmp:2',
      [
        { host: '::1', port: 1 },
        { host: '/tmp', port: 2 },
      ],
      undefined,
    ],
    ['postgres://db?hostaddr=10.0.0.1', [{ host: 'db', address: '10.0.0.1' }], undefined],
    ['postgres://?hostaddr=10.0.0.1', [{ host: '10.0.0.1', address: '10.0.0.1' }], undefined],
  ])('names each of them: %s', (url, places, targetSessionAttrs) => {
    expect(parsed(url)['places']).toEqual(places)
    expect(parsed(url)['targetSessionAttrs']).toBe(targetSessionAttrs)
  })
})

describe('a URL of PGlite', () => {
  test.each([
    ['pglite://memory', { driver: 'pglite', memory: true }],
    ['pglite://memory/tests', { driver: 'pglite', memory: 'tests' }],
    ['pglite:./data', { driver: 'pglite', directory: './data' }],
    ['pglite:/var/lib/shop', { driver: 'pglite', directory: '/var/lib/shop' }],
    ['pglite:data/a%20b@c', { driver: 'pglite', directory: 'data/a b@c' }],
  ])('names a directory or a place in memory: %s', (url, expected) => {
    expect(parsed(url)).toEqual(expected)
  })

  test.each([
    ['pglite:', 'the directory is empty'],
    ['pglite:memory', 'is written pglite://memory'],
    ['pglite://memory/', 'the name is empty'],
    ['pglite://./data', 'after pglite:// comes memory'],
    ['pglite:///data', 'after pglite:// comes memory'],
    ['pglite:./data?sslmode=require', 'takes no options'],
  ])('is refused otherwise: %s', (url, reason) => {
    expect(refusal(url)).toContain(reason)
  })
})

describe('a URL is refused', () => {
  test.each([
    ['', 'it is empty; an environment variable may be missing'],
    ['localhost', 'it starts with none of'],
    ['http://localhost', 'it starts with none of'],
    ['javascript:alert(1)', 'it starts with none of'],
    ['file:///etc/passwd', 'it starts with none of'],
    ['postgres:localhost', 'after the scheme comes //'],
    ['postgres:/localhost', 'after the scheme comes //'],
    ['postgres://h/db\n', 'perhaps at its end'],
    ['postgres://h/d b', 'percent-encode what belongs to it'],
    ['postgres://h/db\0', 'control character'],
    ['postgres://u:\u{D800}@h', 'control character'],
    ['postgres://u:p#1@h', 'it contains a "#"'],
    ['postgres://u:12/b@h/db', 'there is an "@" behind the first "/"'],
    ['postgres://u:12?b@h/db', 'there is an "@" behind the first "/"'],
    ['postgres://u:p@x@h/db', 'more than one "@"'],
    ['postgres://u:p\\x@h/db', 'backslash'],
    ['postgres://h/a/b', 'the name of the database contains a "/"'],
    ['postgres://u:p%zz@h', 'the password has a "%" that does not start an escape'],
    ['postgres://u:p%ff@h', 'the password has a "%" that does not start an escape'],
    ['postgres://u%00options@h', 'the user contains an escaped control character'],
    ['postgres://u:p%0A@h', 'the password contains an escaped control character'],
    ['postgres://h/db%00application_name%00x', 'the database contains an escaped control character'],
    ['postgres://h/db?host=h1,h2', 'host differs from what is said before it'],
    ['postgres://h:0', 'the port is not a number from 1 to 65535'],
    ['postgres://h:65536', 'the port is not'],
    ['postgres://h:5432;', 'the port is not'],
    ['postgres://h:', 'the port is not'],
    ['postgres://h?port=0', 'port must be a number'],
    ['postgres://::1/db', 'the port is not'],
    ['postgres://[::1', 'the part with the host is not understood'],
    ['postgres://[localhost]', 'is not an IPv6 address'],
    ['postgres://[::1]x', 'the part with the host is not understood'],
    ['postgres://[]', 'the host is empty'],
    ['postgres://exаmple.com', 'the host must be a name'],
    ['postgres://h%2Cevil', 'the host must be a single host'],
    ['postgres://h?sslmode=disable&sslmode=verify-full', 'sslmode is given twice'],
    ['postgres://h?sslmode=', 'the value of sslmode is empty'],
    ['postgres://h?sslmode=on', 'sslmode is not known; choose disable, allow, prefer, require'],
    ['postgres://h?sslcert=/etc/passwd', 'sslcert needs sslmode'],
    ['postgres://h?sslkey=pkcs11:x&sslmode=require', 'engine of OpenSSL'],
    ['postgres://a:b@h?password=x', 'password differs from what is said before it'],
    ['postgres://h?require_auth=md5,!password', 'require_auth may not mix'],
    ['postgres://h?require_auth=magic', 'require_auth must be a list'],
    ['postgres://h?require_auth=gss', 'require_auth leaves no way'],
    ['postgres://h?sslcertmode=require', 'Node does not say'],
    ['postgres://h?connect_timeout=1s', 'connect_timeout must be whole seconds'],
    ['postgres://h1,h2:1,h3:2/db?hostaddr=10.0.0.1', '3 hosts and 1 addresses'],
    ['postgres://h1,h2/db?port=1,2,3', '2 hosts and 3 ports'],
    ['postgres://h?hostaddr=db', 'hostaddr must be an IP address'],
    ['postgres://h?client_encoding=latin1', 'client_encoding must be UTF8'],
    ['postgres://h?sslmode=require&sslrootcert=system', 'sslrootcert=system needs sslmode=verify-full'],
    ['postgres://h?sslrootcert=root.crt', 'sslrootcert needs sslmode'],
    ['postgres://h?sslnegotiation=direct', 'needs sslmode=require'],
    ['postgres://h?ssl=true&sslmode=require', 'sslmode differs'],
    ['postgres://h?socket_timeout=5', 'is the option query: { timeoutMs }'],
    ['postgres://h?statement_timeout=5', 'options=-c%20NAME%3DVALUE'],
    ['postgres://h?keepalives_count=5', 'Node has no such socket option'],
    ['postgres://h?sslaccept=strict', 'is called sslmode: verify-full'],
    ['postgres://h?currentSchema=a', 'is called schema'],
    ['postgres://h?min_protocol_version=3.2', 'may not be above max_protocol_version'],
    ['postgres://h?replication=database', 'replication is not supported'],
    ['postgres://h?connection_limit=0', 'must be a number from 1'],
    ['postgres://h?uselibpqcompat=false', 'sslmode means what libpq says'],
    ['"postgres://h/db"', 'begins with a quotation mark'],
    ['jdbc:postgresql://h/db', 'leave out "jdbc:"'],
    ['postgresql+asyncpg://h/db', 'leave out the "+"'],
    ['prisma+postgres://h/db', 'give the URL of the database'],
    ['host=localhost prt=1', 'The connection string is not valid: prt is not known'],
    ["host='x", 'a value in quotes has no end'],
    ['host=a port', 'a keyword has no "=" behind it'],
    ["user='a'b", 'a keyword has no "=" behind it'],
    ["user=a pasword=''", 'pasword is not known'],
    ['host=a,b port=1,2,3', 'there are 2 hosts and 3 ports'],
    ["password=x user='a\u0000b'", 'the value of user contains'],
    ['postgres://h?__proto__=x', '__proto__ is not known'],
    ['postgres://h?constructor=x', 'constructor is not known'],
    ['mysql://h?sslmode=require', 'sslmode is not known'],
    ['postgres://h?application_name=a%00b', 'the value of application_name contains'],
    [`postgres://h/${'x'.repeat(1_000_000)}`, 'it is longer than'],
  ])('%#: %s', (url, reason) => {
    expect(refusal(url)).toContain(reason)
  })

  test('with all of its unusable options at once', () => {
    const message = refusal('postgres://h?connection_limits=5&pgbouncer=on&sslkey=k&port=x&application_name=ok')

    for (const name of [
      'connection_limits is not known',
      'pgbouncer is not known',
      'sslkey needs sslmode',
      'port must be',
    ])
      expect(message).toContain(name)
  })

  test.each([
    ['mysql://h/a/b', 'mysql://user:password@host:port/database?option=value'],
    ['pg://h:x', 'pg://user:password@host:port/database?option=value'],
    ['pglite:memory', 'pglite://memory, pglite://memory/name or pglite:./directory'],
    ['localhost:5432/shop', 'postgres://user:password@host:port/database?option=value'],
  ])('%s: with the form that its scheme has', (url, form) => {
    expect(refusal(url)).toContain(`Expected: ${form}, with special characters percent-encoded.`)
  })

  test('with the nearest option, or all there are', () => {
    expect(refusal('postgres://h?sslmod=require')).toContain('sslmod is not known; perhaps sslmode is meant')
    expect(refusal('postgres://h?zzz=1')).toContain('zzz is not known (there are host, hostaddr,')
  })

  test('when it is no string', () => {
    expect(refusal(new URL('postgres://h') as unknown as string)).toContain('it is not a string')
  })

  test('without a cause, as the error of the URL class keeps its input', () => {
    try {
      parseUrl('postgres://u:hunter2@h:x')
    } catch (error) {
      expect((error as Error).cause).toBeUndefined()
    }
  })

  test('without naming an option that may be a piece of a password', () => {
    expect(refusal('postgres://h?password=ab&hunter2')).not.toContain('hunter2')
  })
})

describe('no URL, however broken,', () => {
  const canary = 'hunter2'
  const piece = fc.oneof(
    fc.string({ maxLength: 6 }),
    fc.stringMatching(/^[:/?#@&=%[\]\\,;.+0-9a-z]{0,8}$/),
    fc.constantFrom(
      '@',
      '/',
      '?',
      '#',
      '&',
      '=',
      ':',
      '%',
      '[',
      ']',
      ',',
      '%40',
      '%zz',
      '%00',
      '//',
      'sslmode=',
      'host=',
    ),
  )
  const mark = fc.constantFrom('', '1', '12', 'x', '@', '/', '?', '#', '&', '=', ':', '%25', '%', '[', ']', ',', '+')
  const secret = fc.tuple(mark, mark, mark, mark).map(([a, b, c, d]) => `${a}${b}${canary}${c}${d}`)
  const scheme = fc.constantFrom('postgres', 'postgresql', 'pg', 'mysql', 'pglite', 'http', '', 'POSTGRES')
  /** Mostly in order, so that what is wrong with the password is not hidden behind something else. */
  const mostly = (usual: string): fc.Arbitrary<string> =>
    fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: piece })
  const url = fc
    .tuple(scheme, mostly('app'), secret, mostly('db'), mostly('shop'), mostly('sslmode=require'))
    .map(
      ([scheme, user, password, host, database, query]) =>
        `${scheme}://${user}:${password}@${host}/${database}?${query}`,
    )

  test('throws anything but an InvalidUrlError', () => {
    fc.assert(
      fc.property(fc.oneof(url, fc.string(), fc.string({ unit: 'binary' })), (text) => {
        try {
          parseUrl(text)
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidUrlError)
        }
      }),
      { numRuns: sample({ once: 1_000, matrix: 3_000, soak: 50_000 }) },
    )
  })

  test('shows its password, in an error, printed or serialised', () => {
    fc.assert(
      fc.property(url, (text) => {
        // A user's name is shown, so a password that was taken for one would be.
        const user = text.slice(text.indexOf('//') + 2).split(':')[0] ?? ''
        fc.pre(!user.includes(canary))
        let result: unknown
        try {
          result = parseUrl(text)
        } catch (error) {
          result = error
        }
        const options = { depth: Infinity, showHidden: true, getters: true, customInspect: false }
        expect(inspect(result, options)).not.toContain(canary)
        expect(JSON.stringify(result)).not.toContain(canary)
      }),
      { numRuns: sample({ once: 2_000, matrix: 5_000, soak: 50_000 }) },
    )
  })

  test('that was accepted connects elsewhere than it says', () => {
    const part = fc
      .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
      .filter((text) => !/[\p{Cc}\p{Cs}]/u.test(text))
    fc.assert(
      fc.property(part, part, part, fc.integer({ min: 1, max: 65_535 }), (user, password, database, port) => {
        const encoded = [user, password, database].map(encodeURIComponent)
        expect(parsed(`postgres://${encoded[0]}:${encoded[1]}@db:${port}/${encoded[2]}`)).toEqual({
          driver: 'postgres',
          user,
          password,
          host: 'db',
          port,
          database,
        })
      }),
    )
  })
})
