/**
 * A primary and servers that follow it by streaming replication, started by a test from the PostgreSQL 15 of this machine: it may kill
 * them, stop the replay and make another one the primary.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { byScheme } from './extent.ts'
import { installedServer } from './embedded-postgres.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const run = promisify(execFile)

/** Where its programs are; undefined where this machine has none. */
export const replicationServer: string | undefined = installedServer(15)

export interface Node {
  readonly name: string
  /** By the driver that is wanted. */
  readonly url: string
  readonly port: number
  start(settings?: Readonly<Record<string, string>>): Promise<void>
  /** Kills it with all its processes, as when the machine is switched off. */
  kill(): Promise<void>
  /** Makes it the primary. */
  promote(): Promise<void>
  query(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>
}

export interface Cluster extends AsyncDisposable {
  readonly primary: Node
  /** A server that follows the primary. */
  follow(): Promise<Node>
}

const common = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  jit: 'off',
  shared_buffers: '16MB',
  max_wal_senders: '8',
  max_replication_slots: '8',
  wal_receiver_status_interval: '1s',
  wal_retrieve_retry_interval: '100ms',
}

// However this process ends, the pipe closes and the server stops.
const script = '"$1" -D "$2" -p "$3" $4 & echo $!; cat >/dev/null; kill -QUIT $! 2>/dev/null; wait'

const lines = (settings: Readonly<Record<string, string | number>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = '${value}'\n`)
    .join('')

export async function cluster(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  if (replicationServer === undefined) throw new Error('This machine has no PostgreSQL 15 with pg_basebackup.')
  const bin = (name: string): string => join(replicationServer, 'bin', name)
  const root = await mkdtemp(join(tmpdir(), 'genever-replication-'))
  const account = await unprivileged(root)
  const nodes: (Node & { end(): Promise<void> })[] = []

  const node = async (name: string, make: (data: string, port: number) => Promise<void>): Promise<Node> => {
    const port = await freePort()
    const data = join(root, name)
    const place = `//postgres@127.0.0.1:${port}/postgres`
    await make(data, port)
    let child: ChildProcess | null = null
    let pid = 0
    const made = {
      name,
      url: byScheme(`postgres:${place}`),
      port,
      async start(options: Readonly<Record<string, string>> = {}) {
        for (const file of ['postmaster.pid', 'postmaster.opts']) await rm(join(data, file), { force: true })
        const flags = Object.entries(options).flatMap(([key, value]) => ['-c', `${key}=${value}`])
        const started = spawn('/bin/sh', ['-c', script, 'sh', bin('postgres'), data, String(port), flags.join(' ')], {
          ...account,
          cwd: data,
          detached: true,
          stdio: ['pipe', 'pipe', 'pipe'],
        })
        child = started
        let said = ''
        pid = 0
        started.stdout.setEncoding('utf8').on('data', (text: string) => (pid ||= Number.parseInt(text, 10)))
        started.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-8000)))
        await until(() => pid > 0 && /ready to accept (?:read-only )?connections/.test(said), {
          what: `${name} is up`,
          timeoutMs: 30_000,
        })
      },
      async kill() {
        if (pid === 0) throw new Error(`${name} was not started.`)
        // It may start no other process while those that it has started are looked for.
        signal(pid, 'SIGSTOP')
        await until(async () => /^[TZ]?$/.test(await stateOf(pid)), { what: `${name} stands still` })
        const all = [pid, ...(await processesOf(pid))]
        for (const each of all) signal(each, 'SIGKILL')
        // What nobody waits for stays as a zombie.
        await until(async () => (await Promise.all(all.map(stateOf))).every((state) => /^[ZX]?$/.test(state)), {
          what: `${name} is dead`,
          timeoutMs: 30_000,
        })
      },
      async promote() {
        await made.query('select pg_promote(true, 30)')
      },
      async query(sql: string, params?: readonly unknown[]) {
        const client = new pg.Client({
          connectionString: `postgres:${place}`,
          application_name: 'genever-test-support',
        })
        client.on('error', () => {})
        await client.connect()
        try {
          return (await client.query<Record<string, unknown>>(sql, params && [...params])).rows
        } finally {
          await client.end()
        }
      },
      async end() {
        if (child === null || child.exitCode !== null) return
        const exit = once(child, 'exit')
        child.stdin?.end()
        await exit
      },
    }
    nodes.push(made)
    return made
  }

  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map((each) => each.end()))
    await rm(root, { recursive: true, force: true })
  }
  try {
    const primary = await node('primary', async (data) => {
      const how = ['--no-sync', '--no-instructions', '--encoding', 'UTF8', '--locale', 'C', '--auth', 'trust']
      await run(bin('initdb'), ['--pgdata', data, '--username', 'postgres', ...how], { ...account, cwd: root })
      await appendFile(join(data, 'postgresql.conf'), lines({ ...common, ...settings }))
      await writeFile(
        join(data, 'pg_hba.conf'),
        'host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n',
      )
    })
    return {
      primary,
      follow() {
        const name = `standby${nodes.length}`
        return node(name, async (data) => {
          const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
          const how = ['-R', '-X', 'stream', '-C', '-S', name, '-c', 'fast', '--no-sync']
          await run(bin('pg_basebackup'), [...from, '-D', data, ...how], { ...account, cwd: root })
        })
      },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Without rights of root nothing; else the account that may own servers, which owns `directory` from now on. */
async function unprivileged(directory: string): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const found = ['postgres', 'nobody', 'daemon'].flatMap((name) => accounts.filter((each) => each[0] === name))[0]
  if (found === undefined) throw new Error('PostgreSQL does not run as root, and this system has no other user.')
  const account = { uid: Number(found[2]), gid: Number(found[3]) }
  await chown(directory, account.uid, account.gid)
  return account
}

/** The processes that one has started. */
async function processesOf(parent: number): Promise<number[]> {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    all.map(async (name) => {
      const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
      return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]) === parent ? Number(name) : 0
    }),
  )
  return found.filter((pid) => pid > 0)
}

/** A letter for the state of a process; empty: there is none. */
async function stateOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')') + 2)[0] ?? ''
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}
