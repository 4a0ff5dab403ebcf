// Several servers for one engine: the order in which they are tried, and which of them fits. For every PostgreSQL driver: a driver
// opens a session at one place, and is asked for one place after the other until a server fits. A host name may have several addresses,
// which count as places of the same kind.
import { ConnectError } from '../../../errors/index.ts'
import type { TargetSessionAttrs } from '../../descriptor.ts'
import type { ConnectionHooks, Failure, RawConnection } from '../../driver.ts'
import { isAddress } from '../../option-checks.ts'
import type { Session } from '../session.ts'
import { before, clock } from '../../../util/clock.ts'
import type { HostPlace } from '../parameters/server-options.ts'
import { race, type ConnectAttempt } from './race.ts'
import { destroyed, endOf } from './start-session.ts'

export interface HostChoice {
  readonly places: readonly HostPlace[]
  readonly target: TargetSessionAttrs
  /** A random order for each connection. */
  readonly balanced: boolean
  /** Whether a failure will be the same at the next place, such as a wrong password. */
  readonly final: (failure: Failure) => boolean
  /** Whether it says that no server answers there. Then another address of the same host may do. */
  readonly unreachable: (failure: Failure) => boolean
}

/** Opens a session at one place; rejects with a `Failure`. */
type Opening = (place: HostPlace, hooks: ConnectionHooks, deadline: number, runner: ConnectAttempt) => Promise<Session>

interface Attempt {
  readonly place: HostPlace
  readonly failure: Failure | null
  /** What it is instead, when it answered. */
  readonly role?: string
}

/**
 * The first server that can be reached and fits. A place has an equal share of the time that is left, so that one which never
 * answers leaves some to the others. A refused login ends the search, as in libpq: it says nothing of the server's health.
 *
 * Rejects with the `Failure` of a single place as it is; of several with one that names each of them and the reason.
 */
export async function openFirst(
  choice: HostChoice,
  hooks: ConnectionHooks,
  deadline: number,
  open: Opening,
): Promise<Session> {
  const places = choice.balanced ? shuffled(choice.places) : choice.places
  const attempts: Attempt[] = []
  const targets = choice.target === 'prefer-standby' ? (['standby', 'any'] as const) : ([choice.target] as const)
  let left = places.length * targets.length
  for (const target of targets)
    for (const place of places) {
      const until = shareOf(deadline, left--)
      const addresses = await addressesOf(place, choice.balanced, until)
      if ('kind' in addresses) attempts.push({ place, failure: addresses })
      else {
        let more = addresses.length
        const opened = await race(addresses, (at, runner) => openAt(at, runner, shareOf(until, more--), target))
        if (opened !== 'next' && opened !== null) return opened
      }
    }
  throw failureOf(attempts, choice.target) as unknown

  /** Null: this host is no use, whichever of its addresses is tried. */
  async function openAt(
    place: HostPlace,
    runner: ConnectAttempt,
    until: number,
    wanted: TargetSessionAttrs,
  ): Promise<Session | 'next' | null> {
    const guard = choice.target === 'any' ? null : new HookGuard(hooks)
    try {
      const opened = await open(place, guard ?? hooks, until, runner)
      const role = wanted === 'any' ? null : await unfit(opened, wanted, until)
      if (role === null) return guard?.accept(opened) ?? opened
      opened.destroy({ kind: 'closed', outcome: 'not_started' })
      attempts.push({ place, failure: null, role })
    } catch (thrown) {
      if (runner.abandoned) return 'next'
      const failure = thrown as Failure
      const last = !choice.unreachable(failure)
      if (choice.final(failure) || (last && places.length === 1)) throw failure as unknown
      attempts.push({ place, failure })
      if (last) return null
    }
    return 'next'
  }
}

/** What the pool is told of a session only once that session is the one it gets. */
class HookGuard implements ConnectionHooks {
  readonly #hooks: ConnectionHooks
  #accepted: Session | null = null

  constructor(hooks: ConnectionHooks) {
    this.#hooks = hooks
  }

  accept(session: Session): Session {
    this.#accepted = session
    return session
  }

  idle(raw: RawConnection): void {
    if (this.#accepted !== null) this.#hooks.idle(raw)
  }

  room(raw: RawConnection): void {
    if (this.#accepted !== null) this.#hooks.room(raw)
  }

  lost(raw: RawConnection, failure: Failure): void {
    if (this.#accepted !== null) this.#hooks.lost(raw, failure)
  }

  notice(fields: Readonly<Record<string, string>>): void {
    this.#hooks.notice(fields)
  }

  notification(channel: string, payload: string, pid: number): void {
    this.#hooks.notification(channel, payload, pid)
  }

  unprepared(): void {
    this.#hooks.unprepared?.()
  }

  untyped(message: string): void {
    this.#hooks.untyped?.(message)
  }
}

const question =
  "select pg_catalog.pg_is_in_recovery() as standby, pg_catalog.current_setting('transaction_read_only') as readonly"

/** The role of a server that does not fit; null: it fits. Rejects with a `Failure`, and the session has ended. */
async function unfit(session: Session, target: TargetSessionAttrs, deadline: number): Promise<string | null> {
  const rows = await session.ask(question, deadline)
  const [row] = rows ?? []
  if (row === undefined)
    throw session.alive ? destroyed(session, { kind: 'timeout', outcome: 'not_started' }) : endOf(session)
  const { standby, readonly } = row as { readonly standby?: unknown; readonly readonly?: unknown }
  const fits = {
    any: true,
    'prefer-standby': true,
    primary: standby === false,
    standby: standby === true,
    'read-write': readonly === 'off',
    'read-only': readonly === 'on',
  }
  if (fits[target]) return null
  if (target === 'primary' || target === 'standby') return standby === true ? 'a standby' : 'a primary'
  return readonly === 'on' ? 'read-only' : 'read-write'
}

function failureOf(attempts: readonly Attempt[], target: TargetSessionAttrs): Failure {
  const [only] = attempts
  if (attempts.length === 1 && only !== undefined && only.failure !== null) return only.failure
  const reasons = attempts.map(({ place, failure, role }) => `${formatPlace(place)}: ${role ?? reasonOf(failure)}`)
  const wanted = target === 'any' ? '' : `, none of which is ${target} (targetSessionAttrs)`
  const cause = new ConnectError(`Could not connect to any of the hosts${wanted}: ${[...new Set(reasons)].join('; ')}.`)
  return { kind: 'lost', outcome: 'not_started', cause }
}

function formatPlace({ host, address = host, port }: HostPlace): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}${address === host ? '' : ` (${address})`}`
}

/** Whether nothing has to be looked up. */
export function isPlace(host: string): boolean {
  return isAddress(host) || host.startsWith('/')
}

/** The addresses of a place, in the order in which they are tried; or why there are none. */
async function addressesOf(
  place: HostPlace,
  balanced: boolean,
  deadline: number,
): Promise<readonly HostPlace[] | Failure> {
  const { host, address, port } = place
  if (address !== undefined || isPlace(host)) return [place]
  const answer = new Promise<readonly HostPlace[] | Failure>((resolve) => {
    process.getBuiltinModule('node:dns').lookup(host, { all: true }, (cause, found) => {
      if (cause !== null) resolve({ kind: 'lost', outcome: 'not_started', cause })
      else resolve([...new Set(found.map((each) => each.address))].map((each) => ({ host, address: each, port })))
    })
  })
  const found = await before<readonly HostPlace[] | Failure, Failure>(deadline, answer, {
    kind: 'timeout',
    outcome: 'not_started',
  })
  return balanced && !('kind' in found) ? shuffled(found) : found
}

function reasonOf(failure: Failure | null): string {
  const { code, message } = (failure?.cause ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code === 'string') return code
  if (typeof message === 'string' && message !== '') return message
  return failure?.fields?.['message'] ?? (failure?.kind === 'timeout' ? 'no answer in time' : 'the connection was lost')
}

function shareOf(deadline: number, left: number): number {
  if (deadline === Infinity || left <= 1) return deadline
  const now = clock.now()
  return now + Math.max(0, deadline - now) / left
}

function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items]
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[order[last], order[other]] = [order[other] as T, order[last] as T]
  }
  return order
}
