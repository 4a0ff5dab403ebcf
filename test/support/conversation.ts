/** Conversations with a real server, recorded byte by byte, and played again to the reader of each driver without a server. */

import { connect } from 'node:net'
import { Duplex } from 'node:stream'
import pg from 'pg'
import type { ConnectionHooks } from '../../src/driver/driver.ts'
import { Login } from '../../src/driver/postgres/open/login.ts'
import { PgWire } from '../../src/driver/pg/pg-wire.ts'
import type { Pglite } from '../../src/driver/pglite/load.ts'
import { PgliteWire } from '../../src/driver/pglite/pglite-wire.ts'
import type { PgliteServer } from '../../src/driver/pglite/server.ts'
import { SchemaVersion } from '../../src/driver/postgres/schema-version.ts'
import { TypeBook } from '../../src/postgres/types/book.ts'
import { Session } from '../../src/driver/postgres/session.ts'
import { openWire } from '../../src/driver/socket/open-wire.ts'
import { SessionWire } from '../../src/driver/socket/session-wire.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { TestOp } from '../drivers/test-connection.ts'
import { MemoryWire } from './memory-wire.ts'

export interface Said {
  readonly text: string
  readonly params?: readonly unknown[]
  readonly maxRows?: number
  /** Prepared under a name. */
  readonly named?: boolean
}

/** What is sent with one Sync. */
export type Unit = readonly Said[]

/** How each operation of a unit ended. `gone`: the connection was ended; what it came to is not said. */
export type End = EndOf | 'gone' | 'pending'

interface EndOf {
  readonly rows: readonly unknown[]
  readonly end: string
  /** Of several statements in one text. */
  readonly results?: readonly (readonly [tag: string, count: number, rows: readonly unknown[]])[]
}

export interface Recording {
  readonly login: Buffer
  /** For each unit what the server answered each time that something was sent. */
  readonly answers: readonly (readonly Buffer[])[]
  readonly ends: readonly (readonly End[])[]
}

const silent: ConnectionHooks = { idle() {}, room() {}, lost() {}, notice() {}, notification() {} }
/** Few are kept prepared, so that some are closed. */
const options = {
  id: 1,
  int8: 'number',
  types: new TypeBook(),
  version: new SchemaVersion(),
  statementCacheSize: 3,
  prefix: '',
  authorization: 'DEFAULT',
} as const

/** What node-postgres takes for a socket: what it writes is handed to `sent`, what is pushed it reads. */
export class FakeSocket extends Duplex {
  readonly #sent: (bytes: Buffer) => void

  constructor(sent: (bytes: Buffer) => void) {
    super()
    this.#sent = sent
  }

  connect(): void {
    queueMicrotask(() => this.emit('connect'))
  }

  setNoDelay(): void {}
  setKeepAlive(): void {}
  ref(): void {}
  unref(): void {}
  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#sent(Buffer.from(bytes))
    done()
  }
}

async function overPg(socket: FakeSocket, user: string, database: string): Promise<Session> {
  const client = new pg.Client({ user, database, ssl: false, stream: () => socket })
  const wire = new PgWire(client as never, new Login(true))
  const failure = await wire.connect(Infinity)
  if (failure !== null) throw new Error(`the login was refused: ${String(failure.cause)}`)
  const session = new Session(wire, silent, options)
  wire.attach(session)
  return session
}

/** A speaker makes its statements once, as an engine does. */
class Speaker {
  readonly #cache = new StatementCache({ dialect: postgres, prepare: true })

  submit(session: Session, unit: Unit): readonly TestOp[] {
    const ops = unit.map(({ text, params, maxRows, named }) => {
      const { compiled } = this.#cache.compile(text)
      const results = compiled.cls === 'multi' ? { results: [] } : {}
      const stmt = named === true ? compiled : { ...compiled, name: '' }
      return new TestOp(stmt, params, { maxRows: maxRows ?? 0, ...results })
    })
    session.submitUnit({ ops })
    return ops
  }
}

function endOf({ end, rows, results, failure }: TestOp): End {
  if (failure !== null && /^(?:protocol|lost|closed)$/.test(failure.kind)) return 'gone'
  if (end === 'pending') return 'pending'
  if (failure !== null || results === null) return { rows: failure === null ? rows : [], end }
  return { rows, end, results: results.map((each) => [each.tag, each.count, each.rows]) }
}

/** Runs units against the server of that URL, one after the other. */
export async function record(url: string, units: readonly Unit[]): Promise<Recording> {
  const { hostname, port, username, pathname } = new URL(url)
  const server = connect(Number(port), hostname)
  const login: Buffer[] = []
  const answers: Buffer[][][] = []
  const socket = new FakeSocket((bytes) => {
    answers.at(-1)?.push([])
    server.write(bytes)
  })
  server.on('data', (bytes) => {
    ;(answers.at(-1)?.at(-1) ?? login).push(bytes)
    socket.push(bytes)
  })
  const session = await overPg(socket, username, pathname.slice(1))
  const speaker = new Speaker()
  const ends: End[][] = []
  for (const unit of units) {
    answers.push([])
    const ops = speaker.submit(session, unit)
    await Promise.all(ops.map(({ settled }) => settled))
    ends.push(ops.map(endOf))
  }
  await session.close(performance.now() + 1000)
  server.destroy()
  return {
    login: Buffer.concat(login),
    answers: answers.map((unit) => unit.map((parts) => Buffer.concat(parts))),
    ends,
  }
}

/** Keeps what the server said, cut at each ReadyForQuery. */
class Tap extends Session {
  readonly answers: Buffer[] = []
  #frames: Buffer[] = []

  /** Every message comes by itself. */
  override rows(_bytes: Buffer, from: number): number {
    return from
  }

  override message(type: number, bytes: Buffer, at: number, end: number): void {
    this.#frames.push(Buffer.from(bytes.subarray(at - 5, end)))
    if (type === 90) this.answers.push(Buffer.concat(this.#frames.splice(0)))
    super.message(type, bytes, at, end)
  }
}

/** As `record`, over the socket of our own, with so many units in flight at a time. All of a unit is sent at once. */
export async function recordTogether(url: string, units: readonly Unit[], together: number): Promise<Recording> {
  const { hostname, port, username, pathname } = new URL(url)
  const at = { host: hostname, port: Number(port), user: username, database: pathname.slice(1) }
  const wire = new SessionWire(await openWire(at, silent, Infinity))
  const session = new Tap(wire, silent, { ...options, binary: true })
  wire.attach(session)
  const speaker = new Speaker()
  const ends: End[][] = []
  for (let from = 0; from < units.length; from += together) {
    const some = units.slice(from, from + together).map((unit) => speaker.submit(session, unit))
    await Promise.all(some.flat().map(({ settled }) => settled))
    for (const ops of some) ends.push(ops.map(endOf))
  }
  await session.close(performance.now() + 1000)
  return { login: Buffer.alloc(0), answers: session.answers.map((answer) => [answer]), ends }
}

export interface Replay {
  readonly reader: 'pg' | 'pglite' | 'socket'
  /** How many units are in flight at a time. Default 1. */
  readonly together?: number
  readonly login: Buffer
  /** Answers in the order of what is sent. */
  readonly answers: readonly Buffer[]
  /** Where a chunk ends. */
  readonly cut: (bytes: Buffer) => readonly Buffer[]
}

const turns = 12

/** Plays units; when all answers have been given and somebody still waits, the connection is cut. */
export async function replay(
  units: readonly Unit[],
  { reader, login, answers, cut, together = 1 }: Replay,
): Promise<End[][]> {
  const left = [...answers]
  let broken = (): void => {}
  let session: Session
  if (reader === 'pg') {
    let begun = false
    const socket = new FakeSocket(() => {
      const answer = begun ? left.shift() : login
      begun = true
      for (const chunk of cut(answer ?? Buffer.alloc(0))) socket.push(chunk)
    })
    broken = () => void socket.destroy()
    session = await overPg(socket, 'u', 'd')
  } else if (reader === 'socket') {
    const wire = new MemoryWire(together, { gathers: false, answer: () => cut(left.shift() ?? Buffer.alloc(0)) })
    session = new Session(wire, silent, { ...options, binary: together > 1 })
    wire.attach(session)
    broken = () => wire.cut()
  } else {
    const pglite = {
      async execProtocolRawStream(sent: Buffer, { onRawData }: { onRawData: (part: Uint8Array) => void }) {
        // It is asked apart from the conversation, because it announces nothing.
        const answer = sent.includes('SHOW client_encoding') ? undefined : left.shift()
        for (const chunk of cut(answer ?? Buffer.alloc(0))) onRawData(chunk)
        await Promise.resolve()
      },
    } as unknown as Pglite
    const server = {
      enter: (_: unknown, begin: () => void) => begin(),
      yield() {},
      withdraw: () => false,
      leave: () => Promise.resolve(),
      crashed() {},
      notification() {},
      listening: '',
    }
    const wire = new PgliteWire(server as unknown as PgliteServer, silent)
    session = new Session(wire, silent, options)
    wire.attach(pglite, session)
  }
  const speaker = new Speaker()
  const ends: End[][] = []
  for (let at = 0; at < units.length && session.alive; at += together) {
    const some = units.slice(at, at + together).map((unit) => speaker.submit(session, unit))
    const told = Promise.all(some.flat().map(({ settled }) => settled)).then(() => true)
    if (!(await soon(told))) {
      broken()
      await soon(told)
    }
    for (const ops of some) ends.push(ops.map(endOf))
  }
  session.destroy({ kind: 'closed', outcome: 'unknown' })
  return ends
}

/** Some turns of the event loop are enough for what has arrived. */
async function soon(told: Promise<boolean>): Promise<boolean> {
  for (let turn = 0; turn < turns; turn++) {
    const late = new Promise<false>((resolve) => setImmediate(resolve, false))
    if (await Promise.race([told, late])) return true
  }
  return false
}
