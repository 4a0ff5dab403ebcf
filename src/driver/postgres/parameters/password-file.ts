// The password file of libpq: finds the line for a server, a database and a user. It is read for each connection whose server wants a
// password that nobody gave, so a change of the file holds for the next connection.
import { ConnectError } from '../../../errors/index.ts'

export interface PasswordPlace {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** Where PostgreSQL's own sockets are, as it is built by its makers and by distributions: they are called `localhost`. */
const socketDirectories = ['/tmp', '/var/run/postgresql', '/run/postgresql']

export function usualPasswordFile(): string {
  const { APPDATA } = process.env
  const paths = process.getBuiltinModule('node:path')
  if (process.platform === 'win32' && APPDATA) return paths.join(APPDATA, 'postgresql', 'pgpass.conf')
  return paths.join(process.getBuiltinModule('node:os').homedir(), '.pgpass')
}

/**
 * The password, or `''` where there is no file or no line. A file that others may read is refused, as a key would be.
 *
 * @throws {ConnectError} naming the file.
 * @see PostgreSQL manual, "The Password File".
 */
export async function readPassword(path: string, place: PasswordPlace): Promise<string> {
  const { readFile, stat } = process.getBuiltinModule('node:fs/promises')
  const status = await stat(path).catch(() => null)
  if (status === null) return ''
  if (!status.isFile()) throw refused(path, 'it is no plain file')
  if (process.platform !== 'win32' && (status.mode & 0o077) !== 0)
    throw refused(path, 'others may read it; it needs the permissions 0600: chmod 600')
  const text = await readFile(path, 'utf8').catch(() => {
    throw refused(path, 'it cannot be read')
  })
  return findPassword(text, place) ?? ''
}

function refused(path: string, reason: string): ConnectError {
  return new ConnectError(`Could not connect: the password file ${path} was not used, because ${reason}.`)
}

/** Undefined: no line is for that place. */
export function findPassword(text: string, { host, port, database, user }: PasswordPlace): string | undefined {
  const name = socketDirectories.includes(host) ? 'localhost' : host
  const wanted = [name, String(port), database, user]
  for (const whole of text.split('\n')) {
    const line = whole.replace(/\r+$/, '')
    if (line.startsWith('#')) continue
    const rest = restBehind(line, wanted)
    if (rest === null) continue
    const [password = ''] = /^(?:[^:\\]|\\.|\\$)*/s.exec(rest) ?? []
    return password.replaceAll(/\\(.)/gs, '$1')
  }
  return undefined
}

/** What is behind the four fields, when each is `*` or what is wanted. */
function restBehind(line: string, wanted: readonly string[]): string | null {
  let rest = line
  for (const each of wanted) {
    const field = /^((?:[^:\\]|\\.)*):/s.exec(rest)
    if (field === null) return null
    const [whole, value = ''] = field
    if (value !== '*' && value.replaceAll(/\\(.)/gs, '$1') !== each) return null
    rest = rest.slice(whole.length)
  }
  return rest
}
