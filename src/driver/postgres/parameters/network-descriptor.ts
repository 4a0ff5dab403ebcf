// The part of a descriptor that all drivers share which reach PostgreSQL over the network. And the PG… variables and service files of
// libpq, which give the values that a URL and the options leave out. They are read once per engine, when it is opened.
import type { OptionProblem } from '../../../errors/index.ts'
import { bare } from '../../../util/options.ts'
import type { Descriptor, Environment, Known, Said } from '../../descriptor.ts'
import { serverOptions } from '../../option-checks.ts'
import { postgres } from '../../../postgres/dialect.ts'
import { completeTls, postgresParameters, refusedParameters } from './url-parameters.ts'

/** Node has it loaded; to import it takes a millisecond. */
const fs = () => process.getBuiltinModule('node:fs')

/** But for its name, its schemes and how it is loaded. */
export const networkDescriptor: Omit<Descriptor, 'name' | 'schemes' | 'load'> = {
  also: ['postgres'],
  where: 'server',
  options: serverOptions,
  url: { known: postgresParameters, refused: refusedParameters, complete: completeTls },
  environment: readEnvironment,
  defaults: {
    host: 'localhost',
    port: 5432,
    user: 'postgres',
    database: (user) => user,
    maintenance: 'postgres',
    ssl: false,
    int8: 'number',
    statementCacheSize: 256,
  },
  dialect: postgres,
  poolLimit: Infinity,
  pooler: true,
  pooledNames: true,
}

const ofTls = new Set([
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslpassword',
  'sslcrl',
  'sslcertmode',
  'ssl_min_protocol_version',
  'ssl_max_protocol_version',
])

/** Variables that would change whom one trusts, and cannot be honoured. */
const refusedVariables: readonly (readonly [variable: string, parameter: string])[] = [
  ['PGREQUIREPEER', 'requirepeer'],
  ['PGSSLCRLDIR', 'sslcrldir'],
]

/**
 * What the variables of libpq say, and over them a service that is named. An empty variable is none. `PGREQUIRESSL=1` is
 * `PGSSLMODE=require` where that is not set. `PGTZ`, `PGDATESTYLE` and `PGGEQO` are not read, nor are those of GSSAPI.
 *
 * Adds a problem for each variable, and each line of the service, that cannot be honoured.
 *
 * @see PostgreSQL manual, "Environment Variables" and "The Connection Service File".
 */
function readEnvironment(known: Known, problems: OptionProblem[]): Environment {
  const variables = process.env
  const around: (readonly [string, string, string])[] = []
  for (const [name, { variable }] of postgresParameters) {
    const value = variable === undefined ? undefined : variables[variable]
    if (variable !== undefined && value !== undefined && value !== '') around.push([name, value, variable])
  }
  if (!variables['PGSSLMODE'] && variables['PGREQUIRESSL']?.startsWith('1') === true)
    around.push(['sslmode', 'require', 'PGREQUIRESSL'])
  const fromVariables = read(around, known, '(an environment variable)', problems)
  for (const [variable, parameter] of refusedVariables)
    if (variables[variable])
      problems.push({
        name: variable,
        problem: `(an environment variable) ${refusedParameters.get(parameter) ?? ''}`,
      })
  const fromService = serviceOf(known, problems)
  const variable = variables['PGPASSWORD']
  const password = fromService.password ?? (variable === undefined || variable === '' ? undefined : () => variable)
  return { said: bare<Said>(fromVariables, withoutMix(fromService)), password }
}

/** Hosts and ports of a service stand for all that the variables say of the place. */
function withoutMix(said: Said): Said {
  if ((said.hosts ?? said.addresses) === undefined) return said
  return { hosts: undefined, addresses: undefined, ...said }
}

function read(
  pairs: readonly (readonly [name: string, value: string, shown: string])[],
  known: Known,
  source: string,
  problems: OptionProblem[],
): Said {
  let said: Said = bare<Said>()
  for (const [name, value, shown] of pairs) {
    if (name === 'host' || name === 'hostaddr' ? known.where : name === 'port' ? known.port : false) continue
    if (known.tls && ofTls.has(name)) continue
    const answer = postgresParameters.get(name)?.read(value) ?? {
      problem: refusedParameters.get(name) ?? 'is not a parameter of a connection',
    }
    if ('value' in answer) said = bare(said, answer.value)
    else problems.push({ name: shown, problem: `${source} ${answer.problem}` })
  }
  return said
}

/** The parameters of a service that is named: by the URL, or by `PGSERVICE`. */
function serviceOf(known: Known, problems: OptionProblem[]): Said {
  const { service = process.env['PGSERVICE'], serviceFile } = known.service
  if (service === undefined || service === '') return bare<Said>()
  const pairs = readService(service, serviceFile)
  if (typeof pairs !== 'string')
    return read(
      pairs.filter(([, value]) => value !== '').map(([name, value]) => [name, value, name]),
      known,
      `(in the service ${service})`,
      problems,
    )
  const name = known.service.service === undefined ? 'PGSERVICE' : 'service'
  problems.push({ name, problem: `${name === 'service' ? '' : '(an environment variable) '}${pairs}` })
  return bare<Said>()
}

// The file of services of libpq: groups of connection parameters, each under a name.
type Pairs = readonly (readonly [name: string, value: string])[]

/**
 * The parameters of a service, or what is wrong, as a clause. The file is the one that is given, `PGSERVICEFILE` or
 * `~/.pg_service.conf`; where the name is not in it, `pg_service.conf` in `PGSYSCONFDIR`.
 *
 * @see PostgreSQL manual, "The Connection Service File".
 */
function readService(service: string, file: string | undefined): Pairs | string {
  const { PGSERVICEFILE, PGSYSCONFDIR } = process.env
  const named = file ?? (PGSERVICEFILE || undefined)
  const paths = process.getBuiltinModule('node:path')
  const files = [named ?? paths.join(process.getBuiltinModule('node:os').homedir(), '.pg_service.conf')]
  if (PGSYSCONFDIR) files.push(paths.join(PGSYSCONFDIR, 'pg_service.conf'))
  for (const path of files) {
    if (path !== named && fs().statSync(path, { throwIfNoEntry: false }) === undefined) continue
    let text: string
    try {
      text = fs().readFileSync(path, 'utf8')
    } catch {
      return `names a service, and the file of services ${path} cannot be read`
    }
    const found = findService(text, service)
    if (typeof found === 'string') return `${found} in the file of services ${path}`
    if (found !== null) return found
  }
  return 'names a service that is in no file of services'
}

/** Null: it is not in the text. */
export function findService(text: string, service: string): Pairs | string | null {
  const lines = text.split('\n')
  const begin = lines.findIndex((line) => line.trimStart().startsWith(`[${service}]`))
  if (begin < 0) return null
  const pairs = new Map<string, string>()
  for (const [index, whole] of lines.slice(begin + 1).entries()) {
    const line = whole.trim()
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('[')) break
    const place = `line ${begin + index + 2}`
    const at = line.indexOf('=')
    const name = line.slice(0, Math.max(0, at))
    if (at < 0 || !/^\w+$/.test(name)) return `needs NAME=VALUE without spaces around the "=" at ${place}`
    if (name === 'service' || name === 'servicefile') return `may not name another service, as it does at ${place},`
    // The first one counts.
    if (!pairs.has(name)) pairs.set(name, line.slice(at + 1))
  }
  return [...pairs]
}
