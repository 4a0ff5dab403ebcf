// Runs both sides in processes of their own and lets them take turns: only what was measured within the same moment on
// the same machine is compared.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Order, Sample } from './peer.ts'
import type { SideName } from './sides.ts'

export type Round = Readonly<Record<SideName, Sample>>

export interface TurnOptions {
  readonly rounds: number
  readonly warmUpMs: number
  readonly roundMs: number
}

export class Peers implements AsyncDisposable {
  readonly #peers: Readonly<Record<SideName, Peer>>

  private constructor(peers: Record<SideName, Peer>) {
    this.#peers = peers
  }

  static async start(url: string): Promise<Peers> {
    return new Peers({ genever: await Peer.start('genever', url), pg: await Peer.start('pg', url) })
  }

  /** Rounds of one workload, after a warm-up; each round begins with the other side. */
  async run(what: string, { rounds, warmUpMs, roundMs }: TurnOptions): Promise<Round[]> {
    const { genever, pg } = this.#peers
    await genever.measure({ what, ms: warmUpMs })
    await pg.measure({ what, ms: warmUpMs })
    const done: Round[] = []
    for (let round = 0; round < rounds; round++) {
      const order = { what, ms: roundMs }
      const early = round % 2 === 0 ? await genever.measure(order) : null
      const other = await pg.measure(order)
      done.push({ genever: early ?? (await genever.measure(order)), pg: other })
    }
    return done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Object.values(this.#peers).map((peer) => peer.stop()))
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

  static async start(name: SideName, url: string): Promise<Peer> {
    const peer = new Peer(fork(join(import.meta.dirname, 'peer.js'), [name, url]))
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
