// The engines that are open, for observers that ask how many instead of listening to each change: gauges are true however
// late one begins to look. Held weakly: an engine that was dropped without being closed is not kept alive from here.

/** Counts of one moment, as in `stats()` of an engine. */
export interface ObservedStats {
  readonly open: number
  readonly idle: number
  readonly max: number
  readonly waiting: number
}

export interface ObservedEngine {
  readonly name: string
  stats(): ObservedStats
}

const enrolled = new Set<WeakRef<ObservedEngine>>()

/** Counts an engine among the open ones; the function returned ends that. */
export function enrol(engine: ObservedEngine): () => void {
  const entry = new WeakRef(engine)
  for (const other of enrolled) if (other.deref() === undefined) enrolled.delete(other)
  enrolled.add(entry)
  return () => void enrolled.delete(entry)
}

export function openEngines(): ObservedEngine[] {
  return [...enrolled].map((entry) => entry.deref()).filter((engine) => engine !== undefined)
}
