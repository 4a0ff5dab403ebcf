// The PG… variables of PostgreSQL: what a postgres URL and the options leave out is read from them, as libpq does. Called
// by options.ts, once per engine, when it is opened.
import type { OptionProblem } from '../errors/index.ts'
import { bare } from '../util/checks.ts'
import { postgresParameters, refusedParameters, type Said } from './url-parameters.ts'

/** What is already said elsewhere: a variable never speaks of it. */
export interface Known {
  readonly where: boolean
  readonly port: boolean
  /** The option `ssl`. */
  readonly tls: boolean
  readonly sslmode: Said['sslmode']
}

export interface Environment {
  readonly said: Said
  /** A function, so that printing does not show it. */
  readonly password: (() => string) | undefined
}

const ofTls = new Set([
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'ssl_min_protocol_version',
  'ssl_max_protocol_version',
])

/** Variables that would change who is trusted, or where the connection goes; without the files behind them it cannot be done. */
const files: ReadonlyMap<string, string> = new Map([
  ['PGSSLCERT', 'sslcert'],
  ['PGSSLKEY', 'sslkey'],
  ['PGSSLCRL', 'sslcrl'],
  ['PGSSLCRLDIR', 'sslcrldir'],
])

/**
 * Reads the variables of the parameters that libpq reads. An empty variable is none. `PGPASSFILE`, `PGSERVICEFILE`, `PGTZ`,
 * `PGDATESTYLE` and `PGGEQO` are not read.
 *
 * Adds a problem for each variable that cannot be honoured.
 *
 * @see PostgreSQL manual, "Environment Variables".
 */
export function readEnvironment(known: Known, problems: OptionProblem[]): Environment {
  const variables = process.env
  let said: Said = bare<Said>()
  for (const [name, { variable, read }] of postgresParameters) {
    const value = variable === undefined ? undefined : variables[variable]
    if (variable === undefined || value === undefined || value === '') continue
    if (name === 'host' || name === 'hostaddr' ? known.where : name === 'port' ? known.port : false) continue
    if (known.tls && ofTls.has(name)) continue
    const answer = read(value)
    if ('value' in answer) said = bare(said, answer.value)
    else if (name !== 'sslrootcert')
      problems.push({ name: variable, problem: `(an environment variable) ${answer.problem}` })
  }
  refuseFiles(said.sslmode, known, problems)
  if (variables['PGSERVICE'] && !known.where && said.hosts === undefined && said.addresses === undefined)
    problems.push({
      name: 'PGSERVICE',
      problem: '(an environment variable) is not supported: service files are not read; name the host',
    })
  if (variables['PGREQUIREPEER'])
    problems.push({
      name: 'PGREQUIREPEER',
      problem: `(an environment variable) ${refusedParameters.get('requirepeer') ?? ''}`,
    })
  const password = variables['PGPASSWORD']
  return { said, password: password === undefined || password === '' ? undefined : () => password }
}

/** Files of TLS are refused where TLS is used and the option `ssl` does not say what to use instead. */
function refuseFiles(sslmode: Said['sslmode'], known: Known, problems: OptionProblem[]): void {
  const mode = known.sslmode ?? sslmode
  if (known.tls || mode === undefined || mode === 'disable') return
  const variables = process.env
  for (const [variable, parameter] of files)
    if (variables[variable])
      problems.push({ name: variable, problem: `(an environment variable) ${refusedParameters.get(parameter) ?? ''}` })
  const roots = variables['PGSSLROOTCERT']
  if (roots !== undefined && roots !== '' && roots !== 'system' && mode !== 'no-verify')
    problems.push({
      name: 'PGSSLROOTCERT',
      problem: '(an environment variable) names a file, which is not read; give its content by the option ssl: { ca }',
    })
}
