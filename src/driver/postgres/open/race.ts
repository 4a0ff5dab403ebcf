// Several addresses of one host, each tried beside those that have not answered yet, until one of them is connected: "Happy
// Eyeballs", RFC 8305. It knows no driver: each says which socket an attempt waits for.
import { clock } from '../../../util/clock.ts'

/** The "Connection Attempt Delay" of RFC 8305. */
const delayMs = 250

/** A socket on its way. */
interface Dialled {
  once(event: 'connect', listener: () => void): unknown
  destroy(): unknown
}

/** One attempt. */
export class Runner {
  readonly #connected: (runner: Runner) => void
  #socket: Dialled | null = null
  /** Another one was connected first: its socket is closed. */
  beaten = false

  constructor(connected: (runner: Runner) => void) {
    this.#connected = connected
  }

  /** It has begun to connect this socket. */
  dials(socket: Dialled): void {
    this.#socket = socket
    if (this.beaten) socket.destroy()
    else socket.once('connect', () => this.#connected(this))
  }

  beat(): void {
    this.beaten = true
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
  attempt: (address: P, runner: Runner) => Promise<R | 'next'>,
): Promise<R | 'next'> {
  const waiting = [...addresses]
  const running = new Map<Runner, P>()
  let timer: NodeJS.Timeout | undefined
  const alone = (runner: Runner): void => {
    clock.clearTimeout(timer)
    for (const [other, address] of running)
      if (other !== runner) {
        running.delete(other)
        waiting.push(address)
        other.beat()
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
      const runner = new Runner(alone)
      running.set(runner, address)
      if (waiting.length > 0) timer = clock.setTimeout(begin, delayMs)
      attempt(address, runner).then(
        (result) => {
          if (runner.beaten) return
          if (result !== 'next') {
            alone(runner)
            resolve(result)
            return
          }
          running.delete(runner)
          begin()
        },
        (error: unknown) => {
          if (runner.beaten) return
          alone(runner)
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- a failure is data
          reject(error)
        },
      )
    }
    begin()
  })
}
