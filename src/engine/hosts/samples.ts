// Samples of the position of the primary over time, by our clock: with the position of a replica they bound how far it is behind. The
// server cannot be asked for that, because the time of its last transaction says nothing while there are no transactions.
import type { Reached } from './host.ts'

interface Sample extends Reached {
  readonly at: number
}

const most = 256

export class Samples {
  #samples: Sample[] = []

  /** `at`: not later than the primary was asked, monotonic milliseconds. */
  add(at: number, { timeline, position }: Reached): void {
    this.#samples.push({ at, timeline, position })
    // Half of the samples are enough. The known state of a replica gets older by one sample.
    if (this.#samples.length > most) this.#samples = this.#samples.filter((_, index) => index % 2 === 1)
  }

  /** The last time at which the primary had nothing that is missing there. */
  freshAt({ timeline, position }: Reached): number {
    return (
      this.#samples.findLast((sample) => sample.timeline === timeline && sample.position <= position)?.at ?? -Infinity
    )
  }
}
