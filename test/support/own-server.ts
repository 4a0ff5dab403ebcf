/** A PostgreSQL of a test's own, which it may stop, configure and start again on the same port. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, chown, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { certificate, privateKey } from './certificate.ts'
import { byScheme } from './extent.ts'
import { startServer } from './embedded-postgres.ts'
import { until } from './until.ts'

export interface OwnServer extends AsyncDisposable {
  readonly url: string
  /** `fast` ends every session in order, `immediate` as a crash does. Settles when the server is gone. */
  stop(how: 'fast' | 'immediate'): Promise<void>
  /** Settles when it accepts connections. */
  start(): Promise<void>
  /** Settings for its next start. */
  configure(settings: Readonly<Record<string, string | number>>): Promise<void>
  query(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>
}

const signals = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const

// As the supervisor of the server of the whole run: however this process ends, the pipe closes and the server stops.
const script = '"$1" -D "$2" -p "$3" & cat >/dev/null; kill -QUIT $! 2>/dev/null; wait'

export async function ownServer(): Promise<OwnServer> {
  const first = await startServer()
  const { port } = new URL(first.url)
  const query = async (sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ connectionString: first.url, application_name: 'genever-test-support' })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(sql, params && [...params])).rows
    } finally {
      await client.end()
    }
  }
  const [place] = await query(
    `select current_setting('data_directory') as data, (select setting from pg_config where name = 'BINDIR') as bin`,
  )
  const { data, bin } = place as { data: string; bin: string }
  const { uid, gid } = await stat(data)
  const account = process.getuid?.() === 0 ? { uid, gid } : {}
  const pidFile = join(data, 'postmaster.pid')
  let child: ChildProcess | null = null

  const stop = async (how: 'fast' | 'immediate'): Promise<void> => {
    const id = Number((await readFile(pidFile, 'utf8')).split('\n')[0])
    process.kill(id, signals[how])
    await until(() => access(pidFile).then(failed, () => true), { what: 'the server is gone', timeoutMs: 30_000 })
    if (child === null) return
    child.stdin?.end()
    await once(child, 'exit')
    child = null
  }
  return {
    url: byScheme(first.url),
    stop,
    query,
    async start() {
      const started = spawn('/bin/sh', ['-c', script, 'sh', join(bin, 'postgres'), data, port], {
        ...account,
        cwd: data,
        detached: true,
        stdio: ['pipe', 'ignore', 'pipe'],
      })
      child = started
      let said = ''
      started.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
      await until(() => said.includes('ready to accept connections'), { what: 'the server is up', timeoutMs: 30_000 })
    },
    async configure(settings) {
      for (const [name, value] of Object.entries(settings)) await query(`alter system set ${name} = '${value}'`)
    },
    async [Symbol.asyncDispose]() {
      if (child !== null) await stop('immediate')
      await first.stop()
    },
  }
}

/** From here on the server speaks TLS to those who ask, and lets in whom the rules of `pg_hba.conf` do. */
export async function securely(
  server: OwnServer,
  rules: string,
  { files = {}, settings = {} }: { files?: Readonly<Record<string, string>>; settings?: Record<string, string> } = {},
): Promise<void> {
  const [{ data }] = (await server.query("select current_setting('data_directory') as data")) as [{ data: string }]
  const { uid, gid } = await stat(data)
  for (const [name, text] of Object.entries({ 'server.crt': certificate, 'server.key': privateKey, ...files })) {
    const path = join(data, name)
    await writeFile(path, text, { mode: 0o600 })
    await chown(path, uid, gid)
  }
  await writeFile(join(data, 'pg_hba.conf'), rules)
  await server.configure({ ssl: 'on', ...settings })
  await server.stop('fast')
  await server.start()
}

/** A server that speaks TLS to those who ask, and lets nobody in without who comes as `secure`. */
export async function secureServer(): Promise<OwnServer> {
  const server = await ownServer()
  await server.query("create role secure login password 'secret'")
  await securely(
    server,
    'local all all trust\nhostssl all secure 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n',
  )
  return server
}

function failed(): boolean {
  return false
}
