/** The password exchange: the examples of the RFCs, what the server has to prove, and how a password is prepared. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../src/errors/index.ts'
import { saslPrep } from '../../src/driver/socket/sasl-prep.ts'
import { type Binding, Scram } from '../../src/driver/socket/scram.ts'
import { md5 } from '../../src/driver/socket/start-up.ts'

const nonce = 'rOprNGfwEbeRWgbNEkqO'
const challenge = `r=${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`
const none: Binding = { kind: 'none' }

describe('SCRAM-SHA-256', () => {
  test('is the example of RFC 7677', async () => {
    const scram = new Scram('pencil', none, nonce, 'user')

    expect(scram.mechanism).toBe('SCRAM-SHA-256')
    expect(scram.first()).toBe(`n,,n=user,r=${nonce}`)
    expect(await scram.answer(challenge)).toBe(
      `c=biws,r=${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`,
    )
    expect(() => scram.verify('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).not.toThrow()
  })

  test.each([
    ['is wrong', 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95H4='],
    ['is short', 'v=6rriTRBi23WpRR/wtup+mMhU'],
    ['is empty', 'v='],
    ['is no base64', 'v=!'],
    ['is an error', 'e=other-error'],
    ['is missing', ''],
  ])('the server is refused whose proof %s', async (_, final) => {
    const scram = new Scram('pencil', none, nonce, 'user')
    await scram.answer(challenge)
    expect(() => scram.verify(final)).toThrow(ProtocolError)
  })

  test('a proof before the challenge is none', () => {
    expect(() => new Scram('pencil', none).verify('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toThrow(
      ProtocolError,
    )
  })

  test.each([
    ['a nonce of its own alone', 'r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'],
    ['our nonce with nothing added', `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
    ['no salt', `r=${nonce}x,s=,i=4096`],
    ['a salt that is no base64', `r=${nonce}x,s=W22*,i=4096`],
    ['no rounds', `r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0`],
    ['rounds for days', `r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2147483647`],
    ['an extension that must be understood', `m=x,r=${nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
    ['nothing', ''],
  ])('a challenge is refused that has %s', async (_, text) => {
    await expect(new Scram('pencil', none, nonce).answer(text)).rejects.toThrow(ProtocolError)
  })

  test.each([
    [{ kind: 'none' }, 'SCRAM-SHA-256', 'n,,'],
    [{ kind: 'possible' }, 'SCRAM-SHA-256', 'y,,'],
    [{ kind: 'bound', data: Buffer.from('hash') }, 'SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,'],
  ] as const)('says how it is bound: %o', async (binding, mechanism, header) => {
    const scram = new Scram('pencil', binding, nonce)
    const answer = await scram.answer(challenge)
    const bound = Buffer.from(/c=([^,]*)/.exec(answer)?.[1] ?? '', 'base64').toString()

    expect(scram.mechanism).toBe(mechanism)
    expect(scram.first()).toBe(`${header}n=,r=${nonce}`)
    expect(bound).toBe(header + (binding.kind === 'bound' ? 'hash' : ''))
    // The proof is over all that was said, the binding too.
    const salted = pbkdf2Sync('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096, 32, 'sha256')
    const key = createHmac('sha256', salted).update('Client Key').digest()
    const said = `n=,r=${nonce},${challenge},${answer.replace(/,p=.*/, '')}`
    const signature = createHmac('sha256', createHash('sha256').update(key).digest()).update(said).digest()
    const proof = Buffer.from(/p=(.*)/.exec(answer)?.[1] ?? '', 'base64')
    expect(Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)))).toEqual(key)
  })

  test('has another nonce each time', () => {
    const nonces = Array.from({ length: 50 }, () => new Scram('x', none).first())
    expect(new Set(nonces).size).toBe(50)
    expect(nonces[0]).toMatch(/^n,,n=,r=[\w+/]{24}$/)
  })
})

test.each([
  ['pencil', 'pencil'],
  ['I\u00adX', 'IX'],
  ['user', 'user'],
  ['USER', 'USER'],
  ['\u00aa', 'a'],
  ['\u2168', 'IX'],
  ['p\u00e4 ss\u00a0w', 'p\u00e4 ss w'],
  ['\u0007a\u00ad', '\u0007a\u00ad'],
  ['\u0627\u0031\u00ad', '\u0627\u0031\u00ad'],
  ['\u0627\u0031\u0628\u00ad', '\u0627\u0031\u0628'],
  ['\u00ad', '\u00ad'],
  ['\u00e4\u00b2', '\u00e42'],
  // Younger than the tables.
  ['\u{1f600}\u00b2', '\u{1f600}\u00b2'],
  ['\u1e9e\ufb01', '\u1e9e\ufb01'],
  ['\u05d0\u00b2\u05d1', '\u05d02\u05d1'],
  ['\u05d0\u00b2', '\u05d0\u00b2'],
  ['\u05d0\ufb01\u05d1', '\u05d0\ufb01\u05d1'],
])('a password is prepared as RFC 4013 says, and taken as it is where it cannot be: %j', (password, prepared) => {
  expect(saslPrep(password)).toBe(prepared)
})

test('an MD5 password is hashed with the name of the user, then with the salt', () => {
  // PostgreSQL: 'md5' || md5(md5('pencil' || 'app') || salt)
  const inner = createHash('md5').update('pencilapp').digest('hex')
  const outer = createHash('md5')
    .update(Buffer.concat([Buffer.from(inner), Buffer.from('SALT')]))
    .digest('hex')
  expect(md5('pencil', 'app', Buffer.from('SALT'))).toBe(`md5${outer}`)
})
