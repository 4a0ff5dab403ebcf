// The process of one side. Its parent says what to run and for how long; it answers how often it ran and what that cost.
// Everything runs inside an AsyncLocalStorage of the caller's, because in a real service something always does.
import { AsyncLocalStorage } from 'node:async_hooks'
import { sides, type SideName } from './sides.ts'
import { workloads, type Side } from './workloads.ts'

export interface Order {
  /** A workload, or `acquire` and `acquireLazily` for connections alone. */
  readonly what: string
  readonly ms: number
}

export interface Sample {
  readonly operations: number
  readonly ms: number
  /** Processor time of the whole process, garbage collection included. */
  readonly cpuMs: number
}

const [name = 'genever', url = ''] = process.argv.slice(2)
const context = new AsyncLocalStorage<object>()
const side = await sides[name as SideName](url)

process.on('message', (order: Order) => void context.run({}, () => execute(order)))
process.on('disconnect', () => void side.close())
process.send?.('ready')

async function execute({ what, ms }: Order): Promise<void> {
  // No collection is forced between rounds: it also throws compiled code away, and both sides would be measured cold.
  const cpu = process.cpuUsage()
  const start = performance.now()
  const operations = await (what.startsWith('acquire') ? takeAndReturn(what, start + ms) : loops(what, start + ms))
  const took = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  const sample: Sample = { operations, ms: took, cpuMs: (user + system) / 1000 }
  process.send?.(sample)
}

/** Runs a workload until then and counts. */
async function loops(what: string, until: number): Promise<number> {
  const workload = workloads[what]
  if (workload === undefined) throw new Error(`There is no workload ${what}`)
  const { loops: count, inScope, operation } = workload
  let operations = 0
  const loop = async (send: Side['anywhere']): Promise<void> => {
    while (performance.now() < until) {
      await operation(side, send)
      operations++
    }
  }
  await Promise.all(Array.from({ length: count }, () => (inScope ? side.scope(loop) : loop(side.anywhere))))
  return operations
}

/** Connections taken and returned one after the other, inside a scope that has none. */
async function takeAndReturn(what: string, until: number): Promise<number> {
  const once = what === 'acquireLazily' ? side.acquireLazily : () => side.acquire()
  if (once === null) return 0
  let operations = 0
  const loop = async (): Promise<void> => {
    await once()
    while (performance.now() < until) for (let i = 0; i < 1000; i++, operations++) await once()
  }
  await (name === 'genever' ? side.scope(loop) : loop())
  return operations
}
