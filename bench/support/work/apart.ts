// A side in a process of its own, which may be one of another runtime: this file is both ends. Orders and answers are lines of
// JSON. Everything runs inside of an AsyncLocalStorage, as in the process that asks.
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Cost } from '../cost.ts'
import { block, type Work, workloads } from './workloads.ts'

interface Order {
  readonly workload: string
  readonly ms: number
}

interface Ready {
  readonly name: string
  readonly can: readonly string[]
}

/** What a module of a peer exports. */
export type OpenPeer = (url: string, max: number) => Promise<Peer>

export interface Peer {
  readonly name: string
  readonly work: Partial<Work>
  readonly close: () => Promise<unknown>
}

export interface ApartSide {
  readonly name: string
  readonly can: readonly string[]
  measure(workload: string, ms: number): Promise<Cost>
  readonly close: () => Promise<unknown>
}

/** @param runtime The program that runs it. @param module Exports `open(url, max)`. */
export async function apart(runtime: string, module: string, url: string, max: number): Promise<ApartSide> {
  const child = spawn(runtime, [fileURLToPath(import.meta.url), module, url, String(max)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const answers = linesOf(child)
  const { name, can } = await answers<Ready>()
  return {
    name,
    can,
    measure(workload, ms) {
      child.stdin?.write(`${JSON.stringify({ workload, ms } satisfies Order)}\n`)
      return answers<Cost>()
    },
    async close() {
      const gone = once(child, 'exit')
      child.stdin?.end()
      await gone
    },
  }
}

function linesOf(child: ChildProcess): <T>() => Promise<T> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  return async <T>() => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('The process of a side ended.')
    return JSON.parse(value) as T
  }
}

async function serve(module: string, url: string, max: number): Promise<void> {
  const { open } = (await import(pathToFileURL(module).href)) as {
    readonly open: OpenPeer
  }
  const { name, work, close } = await open(url, max)
  const can = Object.entries(workloads).flatMap(([key, { needs }]) => (work[needs] === undefined ? [] : [key]))
  console.log(JSON.stringify({ name, can } satisfies Ready))
  for await (const line of createInterface({ input: process.stdin })) {
    const { workload, ms } = JSON.parse(line) as Order
    const wanted = workloads[workload]
    if (wanted !== undefined) console.log(JSON.stringify(await block(work as Work, wanted, ms)))
  }
  await close()
}

const [, self, module, url, max] = process.argv
if (module !== undefined && url !== undefined && self === fileURLToPath(import.meta.url))
  await new AsyncLocalStorage<object>().run({}, () => serve(module, url, Number(max)))
