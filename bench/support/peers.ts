// Runs both sides in processes of their own and lets them take turns: only what was measured within the same moment on
// the same machine is compared.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { builtIn } from './before.ts'
import type { Order, Sample } from './peer.ts'
import type { SideName } from './sides.ts'

/** `before` is Genever of another checkout, where there is one. */
export type Round = Readonly<Record<SideName, Sample> & { before?: Sample }>

export interface TurnOptions {
  readonly rounds: number
  readonly warmUpMs: number
  readonly roundMs: number
}

export class Peers implements AsyncDisposable {
  readonly #peers: ReadonlyMap<keyof Round, Peer>

  private constructor(peers: ReadonlyMap<keyof Round, Peer>) {
    this.#peers = peers
  }

  /** `before` is the folder of a checkout in which `npm run build:bench` has run. */
  static async start(url: string, before?: string): Promise<Peers> {
    const peers = new Map<keyof Round, Peer>([
      ['genever', await Peer.start('genever', url)],
      ['pg', await Peer.start('pg', url)],
    ])
    if (before !== undefined) peers.set('before', await Peer.start('genever', url, before))
    return new Peers(peers)
  }

  /** Rounds of one workload, after a warm-up; every second round goes through the sides from the last to the first. */
  async run(what: string, { rounds, warmUpMs, roundMs }: TurnOptions): Promise<Round[]> {
    const sides = [...this.#peers]
    for (const [, peer] of sides) await peer.measure({ what, ms: warmUpMs })
    const done: Round[] = []
    for (let round = 0; round < rounds; round++) {
      const samples: [keyof Round, Sample][] = []
      for (const [side, peer] of round % 2 === 0 ? sides : sides.toReversed())
        samples.push([side, await peer.measure({ what, ms: roundMs })])
      done.push(Object.fromEntries(samples) as unknown as Round)
    }
    return done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peer) => peer.stop()))
  }
}

class Peer {
  readonly #process: ChildProcess
  #settle: { resolve: (answer: unknown) => void; reject: (error: Error) => void } | null = null

  private constructor(process: ChildProcess) {
    this.#process = process
    process.on('message', (answer) => this.#settle?.resolve(answer))
    process.on('exit', (code) => this.#settle?.reject(new Error(`A measured process ended with code ${String(code)}.`)))
  }

  static async start(name: SideName, url: string, checkout?: string): Promise<Peer> {
    const peer = new Peer(fork(builtIn(checkout, 'peer.js'), [name, url]))
    await peer.#answer()
    return peer
  }

  async measure(order: Order): Promise<Sample> {
    this.#process.send(order)
    return (await this.#answer()) as Sample
  }

  async stop(): Promise<void> {
    const exit = once(this.#process, 'exit')
    this.#process.disconnect()
    await exit
  }

  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
  }
}
