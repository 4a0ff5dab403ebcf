// What an operation costs, measured over many in a row in this process.

/** Microseconds of one operation. */
export interface Cost {
  /** Processor time of the whole process, garbage collection included. */
  readonly cpu: number
  readonly time: number
}

/** One operation after the other, until the time is over. */
export async function costOf(operation: () => PromiseLike<unknown> | undefined, ms: number): Promise<Cost> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  let count = 0
  while (performance.now() < start + ms) {
    await operation()
    count++
  }
  const { user, system } = process.cpuUsage(cpu)
  return { cpu: (user + system) / count, time: ((performance.now() - start) * 1000) / count }
}
