// The data of a COPY on its way between a statement and the wire, in both directions. A COPY is refused where nobody has data for it,
// or where the wire carries none.
import { UsageError } from '../../errors/index.ts'
import { deferred } from '../../util/clock.ts'
import type { CopySink } from '../driver.ts'
import { copyRefusal } from './op-rules.ts'
import { Phase, type Step } from './step.ts'
import type { ExchangeHost, Carrier } from './wire.ts'

const header = 5

/** What may be written until the end, an error of the server, or the loss of the connection. */
class DataIn implements CopySink {
  readonly #step: Step
  readonly #host: ExchangeHost
  readonly #carrier: Carrier
  readonly #sync: () => void
  #open = true

  constructor(step: Step, host: ExchangeHost, carrier: Carrier, sync: () => void) {
    this.#step = step
    this.#host = host
    this.#carrier = carrier
    this.#sync = sync
  }

  write(chunk: Uint8Array): Promise<void> | null {
    if (!this.#open) return null
    const message = Buffer.allocUnsafe(header + chunk.length)
    message[0] = 0x64
    message.writeInt32BE(chunk.length + 4, 1)
    message.set(chunk, header)
    const { promise, resolve } = deferred()
    return this.#carrier.write(message, resolve) ? null : promise
  }

  end(): void {
    if (!this.#open) return
    this.#step.due = Phase.copied
    this.#host.writer.copyDone()
    this.stop()
  }

  fail(reason: string): void {
    if (!this.#open) return
    this.#host.writer.copyFail(reason)
    this.stop()
  }

  stop(): void {
    if (!this.#open) return
    this.#open = false
    if (this.#step.op.stmt.cls === 'multi') this.#host.flush()
    else this.#sync()
  }
}

/** The server waits for data. `sync` writes the Sync behind them: the server takes one in front of their end for data. */
export function takeData(step: Step, host: ExchangeHost, sync: () => void): { stop(): void } {
  step.due = Phase.copyIn
  const { copy } = step.op
  const { carrier } = host
  const sink = new DataIn(step, host, carrier ?? nobody, sync)
  if (copy === undefined || copy === null || carrier === null) sink.fail(copyRefusal(carrier, 'in'))
  else copy.take(sink)
  return sink
}

/** The server gives data. */
export function giveData(step: Step, { carrier }: ExchangeHost): void {
  step.due = Phase.copyOut
  if (step.op.copy && carrier !== null) step.op.copy.give(carrier)
  else step.failure = { kind: 'decode', outcome: 'unknown', cause: new UsageError(copyRefusal(carrier, 'out')) }
}

const nobody: Carrier = { write: () => true, pause() {}, resume() {} }
