// Connects to one host that has several addresses. Each is tried beside those that have not answered yet, until one of them is
// connected: "Happy Eyeballs", RFC 8305. It knows no driver: each attempt says which socket it waits for.
import { clock } from '../../../util/clock.ts'

/** The "Connection Attempt Delay" of RFC 8305. */
const delayMs = 250

/** A socket on its way. */
interface Dialled {
  once(event: 'connect', listener: () => void): unknown
  destroy(): unknown
}

/** One attempt. */
export class ConnectAttempt {
  readonly #connected: (runner: ConnectAttempt) => void
  #socket: Dialled | null = null
  /** Another one was connected first: its socket is closed. */
  abandoned = false

  constructor(connected: (runner: ConnectAttempt) => void) {
    this.#connected = connected
  }

  /** It has begun to connect this socket. */
  connects(socket: Dialled): void {
    this.#socket = socket
    if (this.abandoned) socket.destroy()
    else socket.once('connect', () => this.#connected(this))
  }

  abandon(): void {
    this.abandoned = true
    this.#socket?.destroy()
  }
}

/**
 * Tries the addresses in order. The next attempt begins when one has failed, or has no connection after a quarter of a second; that one
 * goes on beside it. The first that is connected goes on alone. If it fails after that, those that it has beaten are tried again, last.
 *
 * @param attempt Gives `next` where another address may do. What else it gives ends the race, and so does a rejection.
 */
export function race<P, R>(
  addresses: readonly P[],
  attempt: (address: P, runner: ConnectAttempt) => Promise<R | 'next'>,
): Promise<R | 'next'> {
  const waiting = [...addresses]
  const running = new Map<ConnectAttempt, P>()
  let timer: NodeJS.Timeout | undefined
  const alone = (runner: ConnectAttempt): void => {
    clock.clearTimeout(timer)
    for (const [other, address] of running)
      if (other !== runner) {
        running.delete(other)
        waiting.push(address)
        other.abandon()
      }
  }
  return new Promise((resolve, reject) => {
    const begin = (): void => {
      clock.clearTimeout(timer)
      const [address] = waiting.splice(0, 1)
      if (address === undefined) {
        if (running.size === 0) resolve('next')
        return
      }
      const runner = new ConnectAttempt(alone)
      running.set(runner, address)
      if (waiting.length > 0) timer = clock.setTimeout(begin, delayMs)
      attempt(address, runner).then(
        (result) => {
          if (runner.abandoned) return
          if (result !== 'next') {
            alone(runner)
            resolve(result)
            return
          }
          running.delete(runner)
          begin()
        },
        (error: unknown) => {
          if (runner.abandoned) return
          alone(runner)
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- a failure is data
          reject(error)
        },
      )
    }
    begin()
  })
}
