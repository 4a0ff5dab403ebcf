/** What a server may ask for at login: no password in clear without leave, and no login before the server has proved itself. */

import { createDb } from 'genever'
import { createHmac, pbkdf2Sync, createHash, randomBytes } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { sendsCleartext } from '../../src/driver/postgres/parameters/server-options.ts'
import { message } from './messages.ts'

const secret = 'open sesame'
const request = (kind: number, more: Buffer | string = ''): Buffer => {
  const head = Buffer.alloc(4)
  head.writeInt32BE(kind)
  return message('R', Buffer.concat([head, Buffer.from(more)]))
}
const ready = Buffer.concat([message('K', Buffer.alloc(8, 1)), message('Z', 'I')])
const parameter = (name: string, value: string): Buffer => message('S', `${name}\0${value}\0`)

type Step = (sent: Buffer, socket: Socket) => Buffer

const servers: { close(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A server that answers what is sent with one step after the other; what it was sent. */
async function serve(...steps: Step[]): Promise<{ url: string; sent: Buffer[] }> {
  const sent: Buffer[] = []
  const server = createServer((socket) => {
    const left = [...steps]
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      sent.push(bytes)
      const step = left.shift()
      if (step !== undefined) socket.write(step(bytes, socket))
    })
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `postgres://u:${encodeURIComponent(secret)}@127.0.0.1:${port}/d`, sent }
}

async function refused(url: string, options = {}): Promise<Error> {
  const db = createDb(url, { retry: { limit: 0 }, pool: { connectTimeoutMs: 50_000 }, ...options })
  const error = await caught(db.open())
  await db.close()
  return error
}

const said = (sent: readonly Buffer[]): string => Buffer.concat(sent).toString('latin1')

test('the password is not sent in clear, and the error names the option', async () => {
  const { url, sent } = await serve(() => request(3))
  const error = await refused(url, { allowCleartextPassword: false })

  expect(error.message).toMatch(/allowCleartextPassword.*require_auth=password/)
  expect(said(sent)).not.toContain(secret)
  expect(error.message).not.toContain(secret)
})

test.each([
  ['db.example.com', false],
  ['10.0.0.1', false],
  ['192.168.127.1', false],
  ['127.example.com', false],
  ['localhost.example.com', false],
  ['::2', false],
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['localhost', true],
  ['/var/run/postgresql', true],
])('it is sent without leave only where it does not leave this machine: %s', (host, sends) => {
  const unverified = { rejectUnauthorized: false }

  expect(sendsCleartext({ host })).toBe(sends)
  expect(sendsCleartext({ host, ssl: unverified })).toBe(sends)
  expect(sendsCleartext({ host, allowCleartextPassword: false })).toBe(false)
  expect(sendsCleartext({ host, allowCleartextPassword: true })).toBe(true)
  expect(sendsCleartext({ host, ssl: true })).toBe(true)
})

test.each([
  ['on this machine', '', {}],
  ['the option', '', { allowCleartextPassword: true }],
  ['the URL', '?require_auth=password', {}],
])('it is sent where that is allowed: %s', async (_, more, options) => {
  const { url, sent } = await serve(
    () => request(3),
    () => Buffer.concat([request(0), parameter('client_encoding', 'UTF8'), parameter('DateStyle', 'ISO'), ready]),
  )
  await using _db = await createDb(url + more, { retry: { limit: 0 }, ...options }).open()

  expect(said(sent)).toContain(secret)
})

test('TLS whose certificate is not checked is no leave', async () => {
  const { url } = await serve(() => Buffer.from('N'))
  const error = await refused(`${url}?sslmode=no-verify`)
  expect(error.message).not.toContain(secret)
})

test('a login by MD5 goes on', async () => {
  const { url, sent } = await serve(
    () => request(5, 'salt'),
    () => Buffer.concat([request(0), parameter('DateStyle', 'ISO'), ready]),
  )
  await using _ = await createDb(url, { retry: { limit: 0 } }).open()
  expect(said(sent)).toMatch(/md5[0-9a-f]{32}/)
})

/** The server's side of SCRAM-SHA-256; `end` makes its last messages from the proof that is right. */
function scram(end: (final: Buffer) => Buffer): Step[] {
  const salt = randomBytes(16)
  let bare = ''
  let first = ''
  return [
    () => request(10, 'SCRAM-SHA-256\0\0'),
    (sent) => {
      const text = sent.toString('latin1')
      bare = text.slice(text.indexOf('n,,') + 3)
      const nonce = /r=([^,]*)/.exec(bare)?.[1] ?? ''
      first = `r=${nonce}more,s=${salt.toString('base64')},i=4096`
      return request(11, first)
    },
    (sent) => {
      const withoutProof = sent
        .toString('latin1')
        .slice(5)
        .replace(/,p=.*$/s, '')
      const salted = pbkdf2Sync(secret, salt, 4096, 32, 'sha256')
      const key = createHmac('sha256', salted).update('Server Key').digest()
      const proof = createHmac('sha256', key).update(`${bare},${first},${withoutProof}`).digest('base64')
      return end(Buffer.from(`v=${proof}`))
    },
  ]
}

const rest = Buffer.concat([request(0), parameter('DateStyle', 'ISO'), ready])

test('a SCRAM login with the proof of the server goes on', async () => {
  const { url } = await serve(...scram((final) => Buffer.concat([request(12, final), rest])))
  await using _ = await createDb(url, { retry: { limit: 0 } }).open()
})

test.each<readonly [string, (final: Buffer) => Buffer]>([
  ['is missing', () => rest],
  ['is wrong', () => Buffer.concat([request(12, `v=${createHash('sha256').digest('base64')}`), rest])],
  ['comes twice', (final) => Buffer.concat([request(12, final), request(12, final), rest])],
])('a SCRAM login is none when the proof of the server %s', async (_, end) => {
  const { url } = await serve(...scram(end))
  expect((await refused(url)).name).toMatch(/Error$/)
})

test.each<readonly [string, Step[]]>([
  [
    'AuthenticationOk at once after SASL was asked for',
    [() => Buffer.concat([request(10, 'SCRAM-SHA-256\0\0'), rest])],
  ],
  ['AuthenticationOk in place of the challenge', [() => request(10, 'SCRAM-SHA-256\0\0'), () => rest]],
  ['a second request', [() => request(5, 'salt'), () => request(3)]],
  ['another request behind AuthenticationOk', [() => Buffer.concat([request(0), request(3)])]],
  ['ReadyForQuery before AuthenticationOk', [() => ready]],
  ['another encoding', [() => Buffer.concat([request(0), parameter('client_encoding', 'LATIN1'), ready])]],
])('a server is refused that sends %s', async (_, steps) => {
  const { url, sent } = await serve(...steps)
  const error = await refused(url, { allowCleartextPassword: true })

  expect(error.name).toMatch(/^(?:ProtocolError|ConnectError|UsageError|ConnectionLostError)$/)
  expect(said(sent)).not.toContain(secret)
})
