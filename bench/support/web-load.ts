// Load for one server in a process of its own, over sockets that are kept alive.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { builtIn } from './before.ts'
import type { WebSide } from './web-frameworks.ts'

export interface WebSample {
  /** Processor time of the server, and time, for each request, in microseconds. */
  readonly cpuMicros: number
  readonly micros: number
}

const sockets = 32

export class LoadedServer implements Disposable {
  readonly #process: ChildProcess
  readonly #port: number
  /** Of one measurement: meanwhile the server closes what is idle. */
  #agent = new Agent()

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.#port = port
  }

  static async start(framework: string, side: WebSide, url: string, checkout?: string): Promise<LoadedServer> {
    const child = fork(builtIn(checkout, 'web-server.js'), [framework, side, url])
    const [port] = (await once(child, 'message')) as [number]
    return new LoadedServer(child, port)
  }

  async measure(path: string, requests: number): Promise<WebSample> {
    this.#agent.destroy()
    this.#agent = new Agent({ keepAlive: true, maxSockets: sockets })
    const cpu = await this.#cpuMs()
    const start = performance.now()
    let left = requests
    const loop = async (): Promise<void> => {
      while (left-- > 0) await this.#ask(path)
    }
    await Promise.all(Array.from({ length: sockets }, loop))
    const ms = performance.now() - start
    return { cpuMicros: (((await this.#cpuMs()) - cpu) / requests) * 1000, micros: (ms / requests) * 1000 }
  }

  #ask(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port: this.#port, path, agent: this.#agent }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${path} answered ${String(response.statusCode)}`))
        response.resume().once('end', resolve)
      })
      request.once('error', reject)
    })
  }

  async #cpuMs(): Promise<number> {
    this.#process.send('cpu')
    const [used] = (await once(this.#process, 'message')) as [number]
    return used
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
    this.#process.disconnect()
  }
}
