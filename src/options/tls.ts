// What `sslmode` and the option `ssl` mean for `node:tls`. Called by options.ts. Certificates and keys are read here, once,
// into a SecureContext: a bad one is told at once, and nothing that holds the options can print a key.
import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions, type SecureVersion } from 'node:tls'
import type { OptionProblem } from '../errors/index.ts'
import { anyOf, bare, boolean, callback, type Check, defined, isPlain } from '../util/checks.ts'
import { type Checks, pick } from '../util/options.ts'
import { text } from './checks.ts'
import type { TlsOptions } from './engine-options.ts'

/**
 * As in the PostgreSQL manual, "Protection Provided in Different Modes":
 *
 * | mode | encrypted | certificate | its name |
 * |---|---|---|---|
 * | `disable` | no | | |
 * | `allow` | if the server refuses a connection without | not checked | not checked |
 * | `prefer` | if the server can | not checked | not checked |
 * | `no-verify` (node-postgres' word) | yes | not checked | not checked |
 * | `require` | yes | not checked, unless `ssl.ca` is given: then as `verify-ca` | not checked |
 * | `verify-ca` | yes | checked | not checked |
 * | `verify-full`, `ssl: true` | yes | checked | checked |
 *
 * `allow` and `prefer` may end in an open connection, as libpq says of them.
 */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'no-verify' | 'verify-ca' | 'verify-full'

/** What a driver hands to `tls.connect`, beside socket and host. */
export type ResolvedTls = Readonly<Record<string, unknown>>

type ContextOptions = Omit<TlsOptions, 'servername' | 'rejectUnauthorized' | 'checkServerIdentity'>

const versions: Check = anyOf('TLSv1.2', 'TLSv1.3')

const bytes = (value: unknown): boolean => (typeof value === 'string' && value !== '') || value instanceof Uint8Array
const certificates: Check = (value) =>
  bytes(value) || (Array.isArray(value) && value.length > 0 && value.every((each) => bytes(each) || isPlain(each)))
    ? undefined
    : 'must be the text or bytes of a certificate or key, or several in an array'

const checks: Checks<TlsOptions> = {
  ca: certificates,
  cert: certificates,
  key: certificates,
  passphrase: text,
  pfx: certificates,
  ciphers: text,
  minVersion: versions,
  maxVersion: versions,
  servername: text,
  rejectUnauthorized: boolean,
  checkServerIdentity: callback,
}

/** The check of the option `ssl`; what is inside an object is checked by `resolveTls`. */
export const ssl: Check = (value) =>
  typeof value === 'boolean' || isPlain(value) ? undefined : 'must be true, false or an object with options of node:tls'

/**
 * A boolean decides alone; an object is laid over what the mode means. `rejectUnauthorized` is always said, so that
 * `NODE_TLS_REJECT_UNAUTHORIZED=0` in the environment does nothing.
 *
 * @returns False for no TLS.
 */
export function resolveTls(
  mode: SslMode | undefined,
  option: boolean | TlsOptions | undefined,
  problems: OptionProblem[],
  bounds: { readonly minTls?: SecureVersion | undefined; readonly maxTls?: SecureVersion | undefined } = {},
): false | ResolvedTls {
  if (option === false || (option === undefined && (mode === undefined || mode === 'disable'))) return false
  const given = pick<TlsOptions>(typeof option === 'object' ? option : undefined, checks, problems, 'ssl')
  const { servername, rejectUnauthorized, checkServerIdentity, ...material } = given
  const context = bare<ContextOptions>(
    defined({ minVersion: bounds.minTls, maxVersion: bounds.maxTls }),
    defined(material),
  )
  const effective = option === true || mode === undefined || mode === 'disable' ? 'verify-full' : mode
  const named = effective === 'verify-full'
  const identity = checkServerIdentity ?? (named ? undefined : () => undefined)
  const checked = effective.startsWith('verify-') || (effective === 'require' && context.ca !== undefined)
  const tls = bare<Record<string, unknown>>({ rejectUnauthorized: rejectUnauthorized ?? checked })
  if (servername !== undefined) tls['servername'] = servername
  if (identity !== undefined) tls['checkServerIdentity'] = identity
  if (Object.keys(context).length > 0) tls['secureContext'] = makeContext(context, problems)
  return Object.freeze(tls)
}

/** Node ignores an authority it cannot read and then trusts nobody; told here, it names the mistake (often a path). */
function makeContext(context: ContextOptions, problems: OptionProblem[]): unknown {
  try {
    for (const authority of [context.ca ?? []].flat()) void new X509Certificate(authority)
    return createSecureContext(bare(context as SecureContextOptions))
  } catch (error) {
    const code = (error as { code?: unknown }).code
    const reason = typeof code === 'string' ? ` (${code})` : ''
    problems.push({ name: 'ssl', problem: `has a certificate, key, passphrase or cipher that cannot be used${reason}` })
    return undefined
  }
}
