/** Options of an engine that protect connections: TLS, and secrets that nothing prints. */

import { generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { InvalidOptionError } from '../../src/errors/index.ts'
import { resolveOptions } from '../../src/options/options.ts'
import { ownDriver, refusal, refused, tls } from './resolved-options.ts'

describe('TLS', () => {
  const full = { rejectUnauthorized: true }
  const unnamed = { rejectUnauthorized: true, checkServerIdentity: expect.any(Function) }

  test.each([
    ['postgres://h', false],
    ['postgres://h?sslmode=disable', false],
    ['postgres://h?sslmode=require', { rejectUnauthorized: false, checkServerIdentity: expect.any(Function) }],
    ['postgres://h?sslmode=verify-full', full],
  ])('follows sslmode: %s', (url, expected) => {
    expect(tls(url)).toEqual(expected)
  })

  test('checks certificate and name when it is simply asked for', () => {
    expect(tls('postgres://h', true)).toEqual(full)
    expect(tls('postgres://h', {})).toEqual(full)
    expect(tls('postgres://h?sslmode=require', true)).toEqual(full)
    expect(tls('postgres://h?sslmode=disable', { servername: 'db' })).toEqual({ ...full, servername: 'db' })
  })

  test('is what the option says where it says something', () => {
    expect(tls('postgres://h?sslmode=verify-full', false)).toBe(false)
    expect(tls('postgres://h?sslmode=verify-full', { rejectUnauthorized: false })).toEqual({
      rejectUnauthorized: false,
    })
    expect(tls('postgres://h?sslmode=verify-ca', { servername: 'db', ca: certificate })).toEqual({
      ...unnamed,
      servername: 'db',
      secureContext: expect.any(Object),
    })
  })

  test('verify-ca needs an authority, as libpq does: the public ones certify any server', () => {
    expect(refused('postgres://h?sslmode=verify-ca')).toEqual(['sslmode'])
    expect(refused('postgres://h?sslmode=verify-ca', { ssl: { servername: 'db' } })).toEqual(['sslmode'])
    expect(refused('mysql://h?ssl-mode=verify_ca')).toEqual(['sslmode'])
  })

  test('with a given authority, sslmode=require checks the certificate, as libpq does', () => {
    const ca = '/etc/ssl/ca.pem'

    expect(refused('postgres://h?sslmode=require', { ssl: { ca } })).toEqual(['ssl'])
    expect(tls('postgres://h?sslmode=require', { ca: certificate })).toEqual({
      ...unnamed,
      secureContext: expect.any(Object),
    })
  })

  test('is of no use on a Unix socket', () => {
    expect(tls('postgres:///?host=/var/run&sslmode=verify-full')).toBe(false)
  })

  test('refuses details that do not exist or cannot be used', () => {
    expect(refused({ ssl: { sslmode: 'require', rejectUnauthorized: 0, minVersion: 'SSLv3', ca: 7 } })).toEqual([
      'ssl.sslmode',
      'ssl.rejectUnauthorized',
      'ssl.minVersion',
      'ssl.ca',
    ])
    expect(refusal({ ssl: { key: 'hunter2' } })[0]?.problem).toContain('cannot be used')
  })
})

describe('a secret', () => {
  const canary = 'hunter2'
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: canary },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const line = privateKey.split('\n')[1] ?? ''

  test.each([
    ['in a URL', resolveOptions(`postgres://app:${canary}@db/shop`)],
    ['in options', resolveOptions({ password: canary, user: 'app' })],
    ['from a function', resolveOptions({ password: () => canary })],
    ['from a function that waits', resolveOptions({ password: () => Promise.resolve(canary) })],
    ['for a driver of one’s own', resolveOptions({ password: canary, driver: ownDriver('x') })],
    ['of TLS', resolveOptions({ password: canary, ssl: { key: privateKey, passphrase: canary } })],
  ])('%s is not shown in any form of printing', async (_, resolved) => {
    // What is in a closure or a native object, no printer reaches: showHidden and getters included.
    const everything = { depth: Infinity, showHidden: true, getters: true, customInspect: false, showProxy: true }
    const printed = [
      inspect(resolved, everything),
      inspect(resolved),
      JSON.stringify(resolved),
      resolved.describe(),
    ].join('\n')

    expect(printed).not.toContain(canary)
    expect(printed).not.toContain(line)
    expect(await (resolved.connection['password'] as () => unknown)()).toBe(canary)
  })

  test('that is empty is none', () => {
    expect(resolveOptions({ password: '' }).connection).not.toHaveProperty('password')
  })

  test('given by a function is checked when it is asked', async () => {
    const ask = (password: () => unknown): (() => unknown) =>
      resolveOptions({ password: password as () => string }).connection['password'] as () => unknown

    expect(ask(() => 7)).toThrow(InvalidOptionError)
    for (const [given, what] of [
      [undefined, 'undefined'],
      [() => 'secret', 'a function'],
    ])
      expect(ask(() => given)).toThrow(`is a function whose result must be a string; it is ${String(what)}`)
    await expect(ask(() => Promise.resolve('a\0hunter2'))()).rejects.toThrow(/^(?!.*hunter2).*NUL/s)
  })
})

// Any certificate will do: nothing is connected to.
const certificate = `-----BEGIN CERTIFICATE-----
MIIDETCCAfmgAwIBAgIUf2hbyxH9JQa1B4LbZZWZI5urQYkwDQYJKoZIhvcNAQEL
BQAwFzEVMBMGA1UEAwwMZ2VuZXZlci10ZXN0MCAXDTI2MTEyMTA5NTk0MVoYDzIx
MjYxMDI4MDk1OTQxWjAXMRUwEwYDVQQDDAxnZW5ldmVyLXRlc3QwggEiMA0GCSqG
SIb3DQEBAQUAA4IBDwAwggEKAoIBAQCmVI5judQEgWEVeOCI6CsOlixT1Gqyhfbv
FNJd5UVDYECcAhBmu3lNJ0vzO6+cEnpQKMbfKrkjkW+8tZ2E+eroVxPw+PdBCrRJ
syFygMF9Stqcqj6/nK8GU3b0pL3Luo9iXzwgqKFmKprXLAu7V9KWfUZwrjQ2Mdbb
dIu1IrjeH92PzNWQzNbAYV1QeBbrLtakOjbrBkKxGmQcKeJRHjbaWPq8ACWhZbti
SywqgjVKRFwD5WWi8pIoiq6kgHvzpBPCT+nat+AUVBbnEMSY2tyboOaeEo36nRCw
Y/dnfAk4bdGMZyNRD3xn6+8sarVWiy74B3dBKaFTci5nsggxKKj5AgMBAAGjUzBR
MB0GA1UdDgQWBBR42J+OFi69tBh34WWQ20DuA0xRJTAfBgNVHSMEGDAWgBR42J+O
Fi69tBh34WWQ20DuA0xRJTAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUA
A4IBAQBCGPyu8Gt+3cH0yIcrw2mwiny57UNBE21wCYRsAcdMHw+PdVjjHuT9C0OW
Pw9rq8I4zCXgUqLuwCPNMolNnUdzM3fQpylNEP8n5neOr++vUICBC7AHEH1zpLBf
/k8rnkA4aWzlokUYnSFoHXkuiv3chssKrV0JWiqB+c+Z9CM3QQXSjstgakzamWSe
I1+FsvrrlS+kRpTBaZV4aBRGqDU2LG4KsLl9Ed4AE7fY8Xyznho9889pnozdctzC
TGu2CuEEklYBUKpf4PHdgjDaRZFuP9UcPO2g8r64JdI/13xgZzEXmADecM5+YUm7
Q89FNAzzgVDNQ/3JMh0ERZQKlYW9
-----END CERTIFICATE-----
`
