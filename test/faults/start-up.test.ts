/** A server that breaks the protocol while a session of our own begins: it is refused, nothing secret leaves, and everything ends. */

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Failure } from '../../src/driver/driver.ts'
import { Inbox } from '../../src/driver/postgres/inbox.ts'
import { Login } from '../../src/driver/postgres/open/login.ts'
import type { ServerOptions } from '../../src/driver/postgres/parameters/server-options.ts'
import { openWire } from '../../src/driver/socket/open-wire.ts'
import { longestMessage, StartUp, type StartUpOptions } from '../../src/driver/socket/start-up.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { sample } from '../support/extent.ts'
import { until } from '../support/until.ts'
import { errorResponse, message } from './messages.ts'

const secret = 'open sesame'
const int = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => bytes.writeInt32BE(value, index * 4))
  return bytes
}
const asks = (kind: number, more: Buffer | string = ''): Buffer =>
  message('R', Buffer.concat([int(kind), Buffer.from(more)]))
const ok = asks(0)
const parameter = (name: string, value: string): Buffer => message('S', `${name}\0${value}\0`)
const key = (size: number): Buffer => message('K', Buffer.concat([int(7), Buffer.alloc(size, 1)]))
const ready = message('Z', 'I')
const negotiate = (version: number, ...names: string[]): Buffer =>
  message('v', Buffer.concat([int(version, names.length), Buffer.from(names.map((name) => `${name}\0`).join(''))]))
const whole = Buffer.concat([ok, parameter('DateStyle', 'ISO'), key(4), ready])

/** A start-up without a socket: what it was told, and how it ended. */
function begin(options: Partial<StartUpOptions> = {}): {
  told: (bytes: Buffer) => void
  sent: Buffer[]
  startUp: StartUp
} {
  const sent: Buffer[] = []
  const startUp = new StartUp(
    {
      version: '3.0',
      least: '3.0',
      user: 'app',
      parameters: { database: 'shop' },
      password: () => secret,
      channelBinding: 'prefer',
      endPoint: undefined,
      ...options,
    },
    new Login(false),
    { notice() {} },
    (bytes) => sent.push(bytes),
    () => inbox.handTo(null),
  )
  const inbox = new Inbox(startUp)
  inbox.longest = longestMessage
  startUp.begin()
  const told = (bytes: Buffer): void => {
    try {
      inbox.push(bytes)
    } catch (cause) {
      startUp.garbled(cause)
    }
  }
  return { told, sent, startUp }
}

async function after(bytes: Buffer, options: Partial<StartUpOptions> = {}): Promise<Failure | null> {
  const { told, startUp } = begin(options)
  told(bytes)
  startUp.ended(undefined)
  return startUp.settled
}

const broken = { kind: 'protocol', outcome: 'not_started' }

describe('the start of a session', () => {
  test('ends with a server that is ready, however its bytes are cut', async () => {
    for (let size = 1; size <= whole.length; size++) {
      const { told, startUp } = begin()
      for (let at = 0; at < whole.length; at += size) told(whole.subarray(at, at + size))
      expect(await startUp.settled).toBeNull()
      expect(startUp.key).toEqual({ processId: 7, secret: Buffer.alloc(4, 1) })
    }
  })

  test.each<readonly [string, Buffer]>([
    ['AuthenticationOk in place of a challenge', Buffer.concat([asks(10, 'SCRAM-SHA-256\0\0'), ok])],
    ['a challenge nobody waits for', asks(11, 'r=x')],
    ['a proof nobody waits for', asks(12, 'v=x')],
    ['a second request', Buffer.concat([asks(5, 'salt'), asks(3)])],
    ['MD5 without its salt', asks(5, 'sal')],
    ['AuthenticationOk twice', Buffer.concat([ok, ok])],
    ['an offer to bind to TLS, where there is none', asks(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')],
    ['mechanisms without an end', asks(10, 'SCRAM-SHA-256')],
    ['ReadyForQuery first', ready],
    ['a key first', key(4)],
    ['a key of 3 bytes', Buffer.concat([ok, key(3)])],
    ['a key of 257 bytes', Buffer.concat([ok, key(257)])],
    ['two keys', Buffer.concat([ok, key(4), key(4)])],
    ['ReadyForQuery in a transaction', Buffer.concat([ok, message('Z', 'T')])],
    ['ReadyForQuery without a status', Buffer.concat([ok, message('Z', '')])],
    ['a row', Buffer.concat([ok, message('D', Buffer.alloc(2))])],
    ['a message of an unknown type', Buffer.concat([ok, message('\u0001', '')])],
    ['a length of 3', Buffer.from('R\0\0\0\u0003')],
    ['a length that no start-up has', Buffer.concat([Buffer.from('R'), int(70_000)])],
    ['a version that was not asked for', negotiate(196_610)],
    ['the version that was asked for', negotiate(196_608)],
    ['a parameter without an end', Buffer.concat([ok, message('S', 'TimeZone\0UTC')])],
    ['an error without an end', message('E', 'SFATAL\0C28000')],
  ])('is refused to a server that sends %s', async (_, bytes) => {
    expect(await after(bytes)).toMatchObject(broken)
  })

  test('may have a key of 4 to 256 bytes, or none', async () => {
    for (const size of [4, 5, 32, 256]) expect(await after(Buffer.concat([ok, key(size), ready]))).toBeNull()
    expect(await after(Buffer.concat([ok, ready]))).toBeNull()
  })

  test('hears what the server has to say meanwhile', async () => {
    const { port } = await answering((socket) =>
      socket.write(
        Buffer.concat([ok, message('N', 'SWARNING\0C01000\0Mthe disk is full\0\0'), whole.subarray(ok.length)]),
      ),
    )
    const heard: unknown[] = []
    const hooks = { notice: (fields: unknown) => heard.push(fields) }
    const { wire } = await openWire({ host: '127.0.0.1', port, user: 'app' }, hooks, performance.now() + 50_000)
    wire.destroy()

    expect(heard).toEqual([{ severity: 'WARNING', code: '01000', message: 'the disk is full' }])
  })

  test('without a key gives a session that nobody can ask to stop, and asks nothing', async () => {
    const { port, sent } = await answering((socket) => socket.write(Buffer.concat([ok, ready])))
    const deadline = performance.now() + 50_000
    const opened = await openWire({ host: '127.0.0.1', port, user: 'app' }, { notice() {} }, deadline)
    const stopped = await opened.cancel(deadline)
    opened.wire.destroy()

    expect(stopped).toBe(false)
    expect(sent).toHaveLength(1)
  })

  test('takes an older version from a server that knows no newer one, unless that was refused', async () => {
    const { told, startUp } = begin({ version: '3.2' })
    told(Buffer.concat([negotiate(196_608), whole]))
    expect(await startUp.settled).toBeNull()
    expect(startUp.version).toBe('3.0')
    const refused = await after(Buffer.concat([negotiate(196_608), whole]), { version: '3.2', least: '3.2' })
    expect(String(refused?.cause)).toContain('min_protocol_version')
    const unknown = Buffer.concat([negotiate(196_608, '_pq_.x'), whole])
    expect(await after(unknown, { version: '3.2' })).toMatchObject(broken)
  })

  test.each([7, 9, 2, 4_711])('names a way to log in that it does not know: %i', async (kind) => {
    expect(String((await after(asks(kind)))?.cause)).toContain('pg_hba.conf')
  })

  test.each([
    ['OAUTHBEARER', 'OAUTHBEARER\0\0'],
    ['GS2-KRB5, SCRAM-SHA-1', 'GS2-KRB5\0SCRAM-SHA-1\0call this number!\0\0'],
  ])('names the ways to log in that are offered, if it knows none: %s', async (names, offer) => {
    const failure = await after(asks(10, offer))
    expect(failure).toMatchObject({ outcome: 'not_started' })
    expect(String(failure?.cause)).toContain(`${names}. Let it ask for scram-sha-256`)
  })

  test('is what the server says, when it refuses', async () => {
    expect(await after(errorResponse('FATAL', '3D000', 'no such database'))).toMatchObject({
      kind: 'server',
      fields: { code: '3D000', message: 'no such database' },
    })
  })

  test('asks for the password only when it is needed, and never shows what a function throws away', async () => {
    let asked = 0
    const password = (): Promise<string> => {
      asked++
      return Promise.resolve(secret)
    }
    expect(await after(whole, { password })).toBeNull()
    expect(asked).toBe(0)
    const { told, sent, startUp } = begin({ password: () => Promise.reject(new Error('vault is closed')) })
    told(asks(10, 'SCRAM-SHA-256\0\0'))
    expect(await startUp.settled).toMatchObject({ kind: 'lost', cause: new Error('vault is closed') })
    expect(sent).toHaveLength(1)
  })
})

/** The server's side of SCRAM, for a proof that is right. */
function proofOf(first: string, challenge: string, final: string): string {
  const salted = pbkdf2Sync(secret, Buffer.from('c2FsdA==', 'base64'), 4_096, 32, 'sha256')
  const serverKey = createHmac('sha256', salted).update('Server Key').digest()
  const said = `${first},${challenge},${final.replace(/,p=.*/, '')}`
  return createHmac('sha256', serverKey).update(said).digest('base64')
}

async function scram(end: (proof: string) => Buffer): Promise<Failure | null> {
  const { told, sent, startUp } = begin()
  told(asks(10, 'SCRAM-SHA-256\0\0'))
  await until(() => sent.length === 2)
  const first = sent[1]?.toString().replace(/^[^]*n,,/, '') ?? ''
  const challenge = `${/r=.*/.exec(first)?.[0] ?? ''}more,s=c2FsdA==,i=4096`
  told(asks(11, challenge))
  await until(() => sent.length === 3)
  const final = sent[2]?.subarray(5).toString() ?? ''
  told(end(proofOf(first, challenge, final)))
  startUp.ended(undefined)
  return startUp.settled
}

describe('a login by SCRAM', () => {
  test('is one with the proof of the server', async () => {
    expect(await scram((proof) => Buffer.concat([asks(12, `v=${proof}`), whole]))).toBeNull()
  })

  test.each<readonly [string, (proof: string) => Buffer]>([
    ['is missing', () => whole],
    ['is wrong', () => Buffer.concat([asks(12, `v=${createHash('sha256').digest('base64')}`), whole])],
    ['comes twice', (proof) => Buffer.concat([asks(12, `v=${proof}`), asks(12, `v=${proof}`), whole])],
    ['comes with another challenge', (proof) => Buffer.concat([asks(11, 'r=x'), asks(12, `v=${proof}`), whole])],
  ])('is none when the proof %s', async (_, end) => {
    expect(await scram(end)).toMatchObject(broken)
  })

  test.each([
    ['a challenge', asks(11, 'r=x,s=c2FsdA==,i=4096')],
    ['a welcome', ok],
  ])('is none when %s comes before our first message', async (_, early) => {
    const { told, startUp } = begin({ password: () => new Promise(() => {}) })
    told(asks(10, 'SCRAM-SHA-256\0\0'))
    told(Buffer.concat([early, whole]))
    startUp.ended(undefined)
    expect(await startUp.settled).toMatchObject(broken)
  })

  test('is none when proof and welcome come before we have proved anything', async () => {
    const { told, startUp } = begin()
    told(asks(10, 'SCRAM-SHA-256\0\0'))
    told(Buffer.concat([asks(11, 'r=x,s=c2FsdA==,i=4096'), asks(12, 'v=eA=='), whole]))
    expect(await startUp.settled).toMatchObject(broken)
  })
})

test('whatever bytes come, a start-up ends and never throws', async () => {
  let seed = 1_789
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed % below
  }
  const start = Buffer.concat([
    negotiate(196_608),
    asks(5, 'salt'),
    ok,
    parameter('a', 'b'),
    errorResponse('X', 'Y', 'Z'),
    key(9),
    ready,
  ])
  for (let round = 0; round < sample({ once: 1_500, matrix: 20_000, soak: 200_000 }); round++) {
    const bytes = Buffer.from(start)
    for (let count = 1 + random(4); count > 0; count--) bytes[random(bytes.length)] = random(256)
    const { told, startUp } = begin({ version: '3.2' })
    for (let at = 0; at < bytes.length;) {
      const size = 1 + random(40)
      told(bytes.subarray(at, at + size))
      at += size
    }
    startUp.ended(undefined)
    expect((await startUp.settled)?.outcome ?? 'not_started').toBe('not_started')
  }
})

/** A server that answers what it is sent first with these bytes. */
async function answering(answer: (socket: Socket) => void): Promise<{ port: number; sent: Buffer[] }> {
  const sent: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    socket.on('data', (bytes) => sent.push(bytes)).once('data', () => answer(socket))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  return { port: (server.address() as AddressInfo).port, sent }
}

async function opening(port: number, options: ServerOptions, waitMs: number = 50_000): Promise<Failure> {
  const place = { host: '127.0.0.1', port, user: 'app', password: secret }
  return openWire({ ...place, ...options }, { notice() {} }, performance.now() + waitMs).then(
    ({ wire }) => {
      wire.destroy()
      throw new Error('it has opened')
    },
    (failure: unknown) => failure as Failure,
  )
}

describe('before TLS stands', () => {
  const ssl = { rejectUnauthorized: false }

  test('bytes behind the answer are refused: anybody may have sent them', async () => {
    const { port, sent } = await answering((socket) => socket.write(Buffer.concat([Buffer.from('S'), whole])))
    expect(await opening(port, { ssl })).toMatchObject(broken)
    expect(sent).toHaveLength(1)
  })

  test('the text of an error is not shown', async () => {
    const { port } = await answering((socket) => socket.write(errorResponse('FATAL', '28000', 'call this number')))
    const failure = await opening(port, { ssl })
    expect(failure).toMatchObject({ kind: 'lost' })
    expect(JSON.stringify(failure) + String(failure.cause)).not.toContain('call this number')
  })

  test('a server that has none is refused, and told nothing', async () => {
    const { port, sent } = await answering((socket) => socket.write('N'))
    expect(String((await opening(port, { ssl })).cause)).toContain('does not support SSL connections')
    expect(Buffer.concat(sent)).toHaveLength(8)
  })

  test('another answer is refused', async () => {
    const { port } = await answering((socket) => socket.write('G'))
    expect(await opening(port, { ssl })).toMatchObject(broken)
  })

  test('a server that speaks TLS at once, but not for PostgreSQL, is told nothing', async () => {
    const sent: Buffer[] = []
    const server = createTlsServer({ cert: certificate, key: privateKey }, (socket) => {
      socket.on('error', () => {}).on('data', (bytes: Buffer) => sent.push(bytes))
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo

    expect(await opening(port, { ssl, sslNegotiation: 'direct' })).toMatchObject(broken)
    expect(sent).toEqual([])
  })

  test.each([{}, { ssl }, { ssl, sslNegotiation: 'direct' as const }])(
    'a server that says nothing takes no longer than there is time, one that goes away not so long: %o',
    async (options) => {
      const silent = await answering(() => {})
      expect(await opening(silent.port, options, 80)).toMatchObject({ kind: 'timeout', outcome: 'not_started' })
      const gone = await answering((socket) => socket.destroy())
      expect(await opening(gone.port, options)).toMatchObject({ kind: 'lost', outcome: 'not_started' })
    },
  )
})
