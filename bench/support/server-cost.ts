// Processor time of the server's processes for one database, read from /proc: for a server on this machine.
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { type Cost, costOf } from './cost.ts'

export interface ServerCost extends Cost {
  /** Microseconds of the server's processor time for one operation; NaN where there is no /proc of it. */
  readonly server: number
}

export class ServerMeter {
  readonly #client: pg.Client

  private constructor(client: pg.Client) {
    this.#client = client
  }

  static async open(url: string): Promise<ServerMeter> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    return new ServerMeter(client)
  }

  /** Of everything that runs meanwhile: one side at a time. */
  async costOf(operation: () => PromiseLike<unknown> | undefined, ms: number): Promise<ServerCost> {
    const text = 'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'
    const { rows } = await this.#client.query<{ pid: number }>(text)
    const before = rows.map(({ pid }) => microseconds(pid))
    let count = 0
    const cost = await costOf(() => {
      count++
      return operation()
    }, ms)
    const spent = rows.reduce((sum, { pid }, at) => sum + microseconds(pid) - (before[at] as number), 0)
    return { ...cost, server: spent / count }
  }

  close(): Promise<void> {
    return this.#client.end()
  }
}

function microseconds(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1_000
  } catch {
    return NaN
  }
}
