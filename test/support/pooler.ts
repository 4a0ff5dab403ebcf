/**
 * Poolers between the code under test and its server, which lend a connection of the server for one transaction at a time:
 * PgBouncer itself where it is installed, and one in this process that does the same to the session, and no more.
 */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Db } from 'genever'
import { query } from './database.ts'
import { freePort } from './free-port.ts'
import { Relay } from './relay.ts'
import { until } from './until.ts'

export interface Pooler extends AsyncDisposable {
  /** The database, by way of the pooler. */
  readonly url: string
}

/** The one that PGBOUNCER names goes before those of the system. */
const named = process.env['PGBOUNCER']
const places = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer']
const program = (named === undefined ? places : [named]).find((path) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
})

if (named !== undefined && program === undefined) throw new Error(`PGBOUNCER=${named} is no program`)

export const hasPgBouncer: boolean = program !== undefined

/** As `1.18.0`; empty: there is none. */
export const pgBouncerVersion: string =
  program === undefined
    ? ''
    : (/\d+(?:\.\d+)+/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[0] ?? '')

/** Whether it can keep prepared statements for its clients: from 1.21 on. */
export const keepsStatements: boolean = program !== undefined && Number(pgBouncerVersion.split('.')[1]) >= 21

export interface PgBouncer extends Pooler {
  /** Has it keep at most so many prepared statements on each session of the server, and waits until it does. Its clients stay. */
  keep(statements: number): Promise<void>
}

/** Starts PgBouncer in transaction mode, with so many connections to the server, and so many prepared statements kept on each. */
export async function startPgBouncer(target: string, size: number, statements = 0): Promise<PgBouncer> {
  const { protocol, hostname, port, username, password, pathname } = new URL(target)
  const directory = await mkdtemp(join(tmpdir(), 'genever-pgbouncer-'))
  const own = await freePort()
  const login = `user=${username}${password === '' ? '' : ` password='${decodeURIComponent(password)}'`}`
  const configuration = (kept: number): string[] => [
    '[databases]',
    `* = host=${hostname} port=${port} ${login}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${own}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${size}`,
    'max_client_conn = 200',
    ...(keepsStatements ? [`max_prepared_statements = ${kept}`] : []),
  ]
  const file = join(directory, 'pgbouncer.ini')
  await writeFile(file, configuration(statements).join('\n'))
  // It refuses to run as root.
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  if (account.uid !== undefined) await Promise.all([directory, file].map((path) => chown(path, 65_534, 65_534)))
  await chmod(directory, 0o755)
  const child = spawn(program as string, ['-q', file], { ...account, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
  await until(() => answers(own), { what: 'PgBouncer answers', timeoutMs: 30_000 }).catch((error: unknown) => {
    throw new Error(`PgBouncer did not start: ${said}`, { cause: error })
  })
  return {
    url: `${protocol}//${username}@127.0.0.1:${own}${pathname}`,
    async keep(kept) {
      await writeFile(file, configuration(kept).join('\n'))
      child.kill('SIGHUP')
      const says = async (): Promise<boolean> => {
        const all = await query(`postgres://${username}@127.0.0.1:${own}/pgbouncer`, 'show config')
        return all.some(({ key, value }) => key === 'max_prepared_statements' && value === `${kept}`)
      }
      await until(says, { what: 'PgBouncer has read its file' })
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Whether anybody listens there. */
export async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

const sslRequest = 80_877_103
const cancelRequest = 80_877_102

/** A pooler in this process, with so many connections to the server. Refuses what depends on a session. */
export async function startPooler(target: string, size: number): Promise<Pooler> {
  const { username, pathname } = new URL(target)
  const relay = new Relay(target)
  const lines = await Promise.all(
    Array.from({ length: size }, () => ServerLine.open(relay.connect(), username, pathname.slice(1))),
  )
  const free = [...lines]
  const waiting: Client[] = []
  const lend = (client: Client): void => {
    const line = free.shift()
    if (line === undefined) waiting.push(client)
    else client.take(line)
  }
  const giveBack = (line: ServerLine): void => {
    // Always the one that rested longest: nobody meets his own session by luck.
    free.push(line)
    const next = waiting.shift()
    if (next !== undefined) lend(next)
  }
  return relay.listen((client) => {
    new Client(client, lend, giveBack).serve(lines[0] as ServerLine)
  })
}

/** Cuts a stream into messages. */
export class Messages {
  #rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer, untyped: () => boolean, take: (message: Buffer) => void): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (;;) {
      const head = untyped() ? 0 : 1
      if (this.#rest.length < head + 4) return
      const length = head + this.#rest.readInt32BE(head)
      if (this.#rest.length < length) return
      const message = this.#rest.subarray(0, length)
      this.#rest = this.#rest.subarray(length)
      take(message)
    }
  }
}

/** A session of the server. */
class ServerLine {
  client: Client | null = null
  /** What the server says of itself when it greets. */
  readonly greeting: Buffer[] = []
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  static async open(socket: Socket, user: string, database: string): Promise<ServerLine> {
    const line = new ServerLine(socket)
    const messages = new Messages()
    const pairs = Buffer.from(`user\0${user}\0database\0${database}\0\0`)
    const packet = Buffer.alloc(8)
    packet.writeInt32BE(pairs.length + 8, 0)
    packet.writeInt32BE(196_608, 4)
    socket.write(Buffer.concat([packet, pairs]))
    await new Promise<void>((resolve, reject) => {
      let ready = false
      socket.on('data', (chunk: Buffer) => {
        messages.read(
          chunk,
          () => false,
          (message) => {
            const type = String.fromCharCode(message[0] as number)
            if (ready) line.client?.answer(type, message)
            else if (type === 'S') line.greeting.push(message)
            else if (type === 'E') reject(new Error(message.toString('latin1')))
            else if (type === 'Z') {
              ready = true
              resolve()
            }
          },
        )
      })
      socket.on('error', reject)
    })
    return line
  }

  write(message: Buffer): void {
    this.#socket.write(message)
  }
}

/** A connection of the code under test. */
class Client {
  readonly #socket: Socket
  readonly #lend: (client: Client) => void
  readonly #giveBack: (line: ServerLine) => void
  #line: ServerLine | null = null
  #asked = false
  #waiting: Buffer[] = []
  /** Sync and Query without their ReadyForQuery. */
  #open = 0

  constructor(socket: Socket, lend: (client: Client) => void, giveBack: (line: ServerLine) => void) {
    this.#socket = socket
    this.#lend = lend
    this.#giveBack = giveBack
  }

  /** Greets it as this server would, and listens. */
  serve(model: ServerLine): void {
    const socket = this.#socket
    const messages = new Messages()
    let started = false
    const take = (message: Buffer): void => {
      if (started) this.#hear(message)
      else if (message.readInt32BE(4) === sslRequest) socket.write('N')
      else if (message.readInt32BE(4) === cancelRequest) socket.destroy()
      else {
        started = true
        if (message.includes('\0options\0')) this.#refuse('unsupported startup parameter: options')
        else socket.write(Buffer.concat([...greeting, ...model.greeting, ready]))
      }
    }
    const untyped = (): boolean => !started
    socket.on('data', (chunk: Buffer) => messages.read(chunk, untyped, take))
    // A transaction it leaves behind is undone.
    socket.once('close', () => {
      if (this.#line === null) return
      this.#open++
      this.#line.write(simple('rollback'))
    })
  }

  take(line: ServerLine): void {
    this.#line = line
    line.client = this
    for (const message of this.#waiting.splice(0)) line.write(message)
  }

  answer(type: string, message: Buffer): void {
    this.#socket.write(message)
    if (type !== 'Z' || --this.#open > 0 || message[5] !== 73) return
    const line = this.#line as ServerLine
    this.#line = null
    this.#asked = false
    line.client = null
    this.#giveBack(line)
  }

  #hear(message: Buffer): void {
    const type = String.fromCharCode(message[0] as number)
    if (type === 'X') return
    if (type === 'P' && message[5] !== 0) {
      this.#refuse('named prepared statements are not supported')
      return
    }
    if (type === 'S' || type === 'Q') this.#open++
    if (this.#line !== null) this.#line.write(message)
    else {
      this.#waiting.push(message)
      if (!this.#asked) this.#lend(this)
      this.#asked = true
    }
  }

  #refuse(reason: string): void {
    this.#socket.end(typed('E', `SFATAL\0C08P01\0M${reason}\0\0`))
  }
}

function typed(type: string, text: string | Buffer): Buffer {
  const body = Buffer.from(text)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const simple = (text: string): Buffer => typed('Q', `${text}\0`)
const greeting = [typed('R', Buffer.alloc(4)), typed('K', Buffer.alloc(8, 1))]
const ready = typed('Z', 'I')

/** Workers that read and write table `t (n, who)` at the same time, twenty times each; gives the answers that were not their own. */
export async function wrongAnswers(db: Db, workers: number): Promise<unknown[]> {
  const wrong: unknown[] = []
  const work = async (worker: number): Promise<void> => {
    for (let n = 0; n < 20; n++) {
      const value = worker * 1000 + n
      if ((await db.scalar('select $1::int + 0', [value])) !== value) wrong.push(value)
      if ((await db.scalar('select $1::text', [`${value}`])) !== `${value}`) wrong.push(value)
      await db.scope(async () => {
        // A parameter whose type only the server knows is asked for first.
        await db.status('insert into t values ($1, $2)', [value, ['a']])
        await db.transaction(async (tx) => {
          await tx.status('update t set who = $2 where n = $1', [value, 'b'])
          if ((await tx.scalar('select who from t where n = $1', [value])) !== 'b') wrong.push(value)
        })
      })
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  return wrong
}
