/**
 * A MariaDB of the tests, as an ordinary user in a temporary folder on the loopback; `MYSQL_URL` names another server instead.
 * Started when the first test of a worker asks for it. However this process ends, a pipe closes, the server stops and its folder is removed.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, chown, mkdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { serverFolder } from './server-folder.ts'
import { until } from './until.ts'

export interface MariaServer {
  /** Of its database `test`. */
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

const binaries = ['/usr/sbin/mariadbd', '/usr/local/sbin/mariadbd', '/usr/libexec/mariadbd', '/usr/bin/mariadbd']
const shares = ['/usr/share/mysql', '/usr/share/mariadb']

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path
  return undefined
}

/** Where there is a server to start; undefined: none is installed. */
export function installedMariadb(): Promise<string | undefined> {
  return firstThere(binaries)
}

const supervise = 'folder=$1; shift; "$@" & cat >/dev/null; kill -KILL $! 2>/dev/null; wait; rm -rf "$folder"'

/** @throws when none is installed, or it does not start; the message has its last words. */
export async function startMariadb(extra: readonly string[] = []): Promise<MariaServer> {
  const [binary, share] = [await installedMariadb(), await firstThere(shares)]
  if (binary === undefined || share === undefined)
    throw new Error('MariaDB is not installed: apt-get install mariadb-server-core')
  const folder = await serverFolder('genever-mariadb-')
  const data = join(folder, 'data')
  await mkdir(data)
  // It refuses to run as root.
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null
  if (account !== null) {
    await chmod(folder, 0o755)
    for (const path of [folder, data]) await chown(path, account.uid, account.gid)
  }
  const common = [
    '--no-defaults',
    `--datadir=${data}`,
    `--lc-messages-dir=${join(share, 'english')}`,
    `--tmpdir=${folder}`,
    '--skip-log-bin',
    '--innodb-log-file-size=8M',
  ]
  await bootstrap(binary, share, common, account ?? {})
  const port = await freePort()
  const args = [
    ...common,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--socket=${join(folder, 's.sock')}`,
    `--pid-file=${join(folder, 'pid')}`,
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-doublewrite=0',
    '--innodb-buffer-pool-size=64M',
    '--skip-name-resolve',
    '--max-connections=400',
    '--character-set-server=utf8mb4',
    ...extra,
  ]
  const child = spawn('/bin/sh', ['-c', supervise, 'sh', folder, binary, ...args], {
    ...account,
    cwd: tmpdir(),
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
  child.unref()
  ;(child.stdin as unknown as { unref(): void }).unref()
  ;(child.stderr as unknown as { unref(): void }).unref()
  try {
    await until(() => said.includes('ready for connections'), { what: 'MariaDB is up', timeoutMs: 30_000 })
  } catch (cause) {
    throw new Error(`MariaDB did not start: ${said}`, { cause })
  }
  return {
    url: `mysql://root@127.0.0.1:${port}/test`,
    port,
    async stop() {
      child.ref()
      const gone = once(child, 'exit')
      child.stdin.end()
      await gone
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function bootstrap(
  binary: string,
  share: string,
  common: readonly string[],
  account: { uid?: number; gid?: number },
): Promise<void> {
  const names = ['mysql_system_tables.sql', 'mysql_performance_tables.sql', 'mysql_system_tables_data.sql']
  const tables = await Promise.all(names.map((name) => readFile(join(share, name), 'utf8')))
  const text = `create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n${tables.join('\n')}\ncreate database test character set utf8mb4;\n`
  const child = spawn(
    binary,
    [...common, '--bootstrap', '--innodb-buffer-pool-size=32M', '--max_allowed_packet=8M', '--net_buffer_length=16K'],
    { ...account, stdio: ['pipe', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (said = (said + piece).slice(-4000)))
  child.stdin.end(
    text
      .split('\n')
      .filter((line) => !line.includes('@current_hostname'))
      .join('\n'),
  )
  const [code] = (await once(child, 'exit')) as [number]
  if (code !== 0) throw new Error(`MariaDB could not be set up: ${said}`)
}
