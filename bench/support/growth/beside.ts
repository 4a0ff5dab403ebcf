// Quick reads while a slow statement runs on one of the connections: how long they wait, and how many of them there are.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cell, table } from '../../../demo/support/table.ts'
import { quantile } from '../quantile.ts'
import { pair, type Place, type Send, sideNames } from './turns.ts'

const quick = 'select $1::int as n'
const slow = 'select pg_sleep($1)'
const inFlight = 64

interface Crowd {
  readonly waits: readonly number[]
  readonly perSecond: number
}

/** 64 at a time, for so long. */
async function crowd(send: Send, ms: number): Promise<Crowd> {
  const waits: number[] = []
  const since = performance.now()
  const loop = async (): Promise<void> => {
    while (performance.now() - since < ms) {
      const sent = performance.now()
      await send(quick, [1])
      waits.push(performance.now() - sent)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, loop))
  return { waits, perSecond: (waits.length * 1000) / (performance.now() - since) }
}

export async function beside({ server, rounds }: Place): Promise<string> {
  await using two = await pair(server.url, 10)
  const lines: Cell[][] = []
  for (const side of sideNames) {
    const send = two.sides[side]
    await crowd(send, 300)
    for (let n = 0; n < 5; n++) await send(slow, [0.03])
    const free: number[] = []
    const crowded: number[] = []
    const waits: number[] = []
    const longest: number[] = []
    for (let round = 0; round < rounds; round++) {
      free.push((await crowd(send, 500)).perSecond)
      const running = send(slow, [0.5])
      await sleep(5)
      const { waits: some, perSecond } = await crowd(send, 400)
      crowded.push(perSecond)
      for (const wait of some) waits.push(wait)
      longest.push(some.reduce((most, wait) => Math.max(most, wait), 0))
      await running
    }
    lines.push([
      side,
      quantile(waits, 0.5).toFixed(2),
      quantile(waits, 0.99).toFixed(2),
      quantile(longest, 0.5).toFixed(1),
      (quantile(crowded, 0.5) / quantile(free, 0.5)).toFixed(2),
    ])
  }
  const figures = ['p50 ms', 'p99 ms', 'longest ms', 'throughput of free']
  return table(['', ...figures], lines, figures)
}
