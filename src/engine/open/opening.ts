// One opening of a database, for all who wait for it: whoever opens it wants to know at once that it fails, and statements
// whose first use opens it wait while the server has no room. And the pace of openings that follow each other.
import { OpenBackoff } from '../../pool/supply/backoff.ts'
import { sleep } from '../../util/clock.ts'
import type { Engine } from '../engine.ts'

export class Opening {
  /** Null until the source was asked. */
  engine: Engine | null = null
  /** Statements wait for it. */
  patient = false
  /** Rejects when it fails for those who do not wait for a server to have room. */
  readonly refused: Promise<never>
  readonly #ended = new AbortController()
  #refuse: (error: unknown) => void = () => {}

  constructor(patient = false) {
    this.patient = patient
    this.refused = new Promise<never>((_, reject) => (this.#refuse = reject))
    this.refused.catch(() => {})
  }

  /** False: the attempt under way is the last. */
  get goesOn(): boolean {
    return !this.#ended.signal.aborted
  }

  /** Nothing is tried again. */
  stop(): void {
    this.#ended.abort()
  }

  refuse(error: unknown): void {
    this.#refuse(error)
  }

  /** Waits, or until it is stopped. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, this.#ended.signal).catch(() => {})
  }
}

/**
 * How often something that cannot be opened is tried, however many ask for it: as soon as it is asked for while all is well;
 * after a failure one at a time, with a pause in between. Who asks meanwhile gets the failure of that one.
 */
export class Pace {
  readonly #backoff = new OpenBackoff()
  #failing = false
  #probe: Promise<unknown> | null = null

  async run<T>(open: () => Promise<T>): Promise<T> {
    while (this.#failing) {
      const probe = this.#probe
      if (probe === null) return this.#retry(open)
      await probe
    }
    return this.#noted(open)
  }

  async #retry<T>(open: () => Promise<T>): Promise<T> {
    const probe = sleep(this.#backoff.leftMs).then(() => this.#noted(open))
    this.#probe = probe
    try {
      return await probe
    } finally {
      this.#probe = null
    }
  }

  async #noted<T>(open: () => Promise<T>): Promise<T> {
    try {
      const opened = await open()
      this.#failing = false
      this.#backoff.succeeded()
      return opened
    } catch (error) {
      this.#failing = true
      this.#backoff.failed(null, true)
      throw error
    }
  }
}

const mostKept = 100

/** The paces of several sources, kept while these cannot be opened. */
export class Paces {
  #kept: { readonly source: unknown; readonly options: unknown; readonly pace: Pace }[] = []

  /** Openings of the same source with the same options object have one pace. */
  async run<T>(source: unknown, options: unknown, open: () => Promise<T>): Promise<T> {
    let entry = this.#kept.find((each) => each.source === source && each.options === options)
    if (entry === undefined) {
      entry = { source, options, pace: new Pace() }
      this.#kept = [...this.#kept.slice(1 - mostKept), entry]
    }
    const opened = await entry.pace.run(open)
    this.#kept = this.#kept.filter((each) => each !== entry)
    return opened
  }
}
