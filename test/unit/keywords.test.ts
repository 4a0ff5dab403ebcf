/** Connection strings of keywords, files of services and files of passwords, as libpq reads them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findPassword, readPassword } from '../../src/driver/postgres/parameters/password-file.ts'
import { findService } from '../../src/driver/postgres/parameters/network-descriptor.ts'
import { readKeywords } from '../../src/options/url.ts'
import { resolveOptions } from '../../src/options/options.ts'

const place = { host: 'db.example', port: 5432, database: 'shop', user: 'app' }

describe('a string of keywords', () => {
  test.each([
    [
      'host=a port=1',
      [
        ['host', 'a'],
        ['port', '1'],
      ],
    ],
    [
      "  host = a\n\tuser='my app'  ",
      [
        ['host', 'a'],
        ['user', 'my app'],
      ],
    ],
    ["password='it\\'s \\\\ me'", [['password', "it's \\ me"]]],
    ["password=it\\'s\\ me", [['password', "it's me"]]],
    ["password=it's", [['password', "it's"]]],
    [
      "user='' host=a",
      [
        ['user', ''],
        ['host', 'a'],
      ],
    ],
    ['host= a', [['host', 'a']]],
    ['host=', [['host', '']]],
    ['options=-c\\ work_mem=1MB', [['options', '-c work_mem=1MB']]],
    ['', []],
  ])('%j', (text, pairs) => {
    expect(readKeywords(text)).toEqual(pairs)
  })

  test.each(['host', 'host a', "host='a", 'a=b c', "a='b'c", '=b', "a='b\\'"])('%j is none', (text) => {
    expect(readKeywords(text)).toBeTypeOf('string')
  })

  test('is a source like a URL, whose last value of a keyword counts', async () => {
    const { connection, pool } = resolveOptions(
      "host=one,two port=1,2 user=app password='a b' dbname=shop connect_timeout=3 user=other application_name=x",
    )
    expect(connection).toMatchObject({
      places: [
        { host: 'one', port: 1 },
        { host: 'two', port: 2 },
      ],
      user: 'other',
      database: 'shop',
      applicationName: 'x',
    })
    expect(await (connection['password'] as () => unknown)()).toBe('a b')
    expect(pool.connectTimeoutMs).toBe(3_000)
  })
})

describe('a file of services', () => {
  const text = `# services
[other]
host=wrong
 [shop]
 # comment
host=db.example
port=6543
user=first
user=second
password= with spaces \t
[shop]
host=never
`

  test('gives the first group of that name, and the first value of each', () => {
    expect(findService(text, 'shop')).toEqual([
      ['host', 'db.example'],
      ['port', '6543'],
      ['user', 'first'],
      ['password', ' with spaces'],
    ])
    expect(findService(text, 'sho')).toBeNull()
  })

  test.each([
    ['[s]\nhost = a', 'line 2'],
    ['[s]\nhost', 'line 2'],
    ['[s]\n\nservice=t', 'line 3'],
  ])('refuses %j', (broken, where) => {
    expect(findService(broken, 's')).toContain(where)
  })

  test('speaks for what the URL leaves out, and over the variables', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'genever-service-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'services')
    writeFileSync(file, text)
    const options = resolveOptions(`postgres://me@/?service=shop&servicefile=${encodeURIComponent(file)}`)

    expect(options.connection).toMatchObject({ host: 'db.example', port: 6543, user: 'me' })
    expect(await (options.connection['password'] as () => unknown)()).toBe(' with spaces')
    expect(() => resolveOptions(`service=none servicefile=${file}`)).toThrow('is in no file of services')
    writeFileSync(file, '[shop]\nhots=x\nport=y')
    expect(() => resolveOptions(`service=shop servicefile=${file}`)).toThrow(
      /hots.*not a parameter.*port.*must be a number/,
    )
  })
})

describe('a file of passwords', () => {
  test.each([
    ['db.example:5432:shop:app:secret', 'secret'],
    ['*:*:*:*:p', 'p'],
    ['other:*:*:*:no\n*:5432:*:app:yes', 'yes'],
    ['#*:*:*:*:comment\n*:*:*:*:real', 'real'],
    ['*:*:*:*:a\\:b\\\\c', 'a:b\\c'],
    ['*:*:*:*:a:b', 'a'],
    ['*:*:*:*:a\\', 'a\\'],
    ['db\\.example:*:*:*:x', 'x'],
    ['*:*:*:*:with space ', 'with space '],
    ['*:*:*:*:carriage\r\n', 'carriage'],
    ['*:*:*:*:at the end\r', 'at the end'],
    ['*:*:*:\\*:star\n*:*:*:*:all', 'all'],
    ['*:*:*:*:', ''],
  ])('%j', (text, password) => {
    expect(findPassword(text, place)).toBe(password)
  })

  test.each(['', 'db.example:5432:shop:app', '*:5433:*:*:x', '*:*:*', 'db:*:*:*:x', '* :*:*:*:x'])(
    '%j has none',
    (text) => {
      expect(findPassword(text, place)).toBeUndefined()
    },
  )

  test('calls the usual directories of sockets localhost', () => {
    const at = (host: string): string | undefined =>
      findPassword('localhost:*:*:*:x\n/srv/pg:*:*:*:y', { ...place, host })
    expect(['/tmp', '/var/run/postgresql', '/srv/pg', '/srv'].map(at)).toEqual(['x', 'x', 'y', undefined])
  })

  test('is refused by name while others may read it, and may be missing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'genever-pgpass-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const file = join(directory, 'pgpass')
    expect(await readPassword(file, place)).toBe('')
    writeFileSync(file, '*:*:*:*:hunter2', { mode: 0o600 })
    expect(await readPassword(file, place)).toBe('hunter2')
    const open = join(directory, 'open')
    writeFileSync(open, '*:*:*:*:hunter2', { mode: 0o644 })
    await expect(readPassword(open, place)).rejects.toThrow(/open was not used.*0600/)
    await expect(readPassword(directory, place)).rejects.toThrow('no plain file')
  })
})
