/** Odyssey between the code under test and its server, in transaction mode, where `ODYSSEY` names the program. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { answers, type Pooler } from './pooler.ts'
import { until } from './until.ts'

const program = process.env['ODYSSEY']

export const hasOdyssey: boolean = program !== undefined

/** Starts it with so many connections to the server. @param keeps It keeps prepared statements for its clients. */
export async function startOdyssey(target: string, size: number, keeps = false): Promise<Pooler> {
  const { protocol, hostname, port, username, password, pathname } = new URL(target)
  const directory = await mkdtemp(join(tmpdir(), 'genever-odyssey-'))
  const own = await freePort()
  const file = join(directory, 'odyssey.conf')
  await writeFile(
    file,
    `daemonize no
log_to_stdout yes
log_format "%p %t %l [%i %s] (%c) %m\\n"
log_session no
log_stats no
workers 1
resolvers 1
unix_socket_dir "${directory}"
unix_socket_mode "0700"
locks_dir "${directory}"
listen { host "127.0.0.1" port ${own} tls "disable" }
storage "server" { type "remote" host "${hostname}" port ${port} tls "disable" }
database default {
  user default {
    authentication "none"
    storage "server"
    ${password === '' ? '' : `storage_password "${decodeURIComponent(password)}"`}
    pool "transaction"
    pool_size ${size}
    pool_timeout 0
    pool_discard no
    pool_rollback yes
    pool_cancel yes
    client_fwd_error yes
    pool_reserve_prepared_statement ${keeps ? 'yes' : 'no'}
  }
}
`,
  )
  const child = spawn(program as string, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
  await until(() => answers(own), { what: 'Odyssey answers', timeoutMs: 30_000 }).catch((error: unknown) => {
    throw new Error(`Odyssey did not start: ${said}`, { cause: error })
  })
  return {
    url: `${protocol}//${username}@127.0.0.1:${own}${pathname}`,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await rm(directory, { recursive: true, force: true })
    },
  }
}
