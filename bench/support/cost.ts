// What an operation costs, measured over many in a row in this process.

/** Microseconds of one operation. */
export interface Cost {
  /** Processor time of the whole process, garbage collection included. */
  readonly cpu: number
  readonly time: number
}

/** One operation after the other, on so many loops at a time, until the time is over; at least one on each. */
export async function costOf(operation: () => PromiseLike<unknown> | undefined, ms: number, loops = 1): Promise<Cost> {
  const before = process.cpuUsage()
  const since = performance.now()
  let count = 0
  const loop = async (): Promise<void> => {
    do {
      await operation()
      count++
    } while (performance.now() - since < ms)
  }
  await (loops === 1 ? loop() : Promise.all(Array.from({ length: loops }, loop)))
  const time = performance.now() - since
  const { user, system } = process.cpuUsage(before)
  return { cpu: (user + system) / count, time: (time * 1000) / count }
}
