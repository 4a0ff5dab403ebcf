// An executor at a place: its statements run there, whatever place the code around names.
import type { EngineCore, QueryDefaults } from '../core.ts'
import { currentChain, type Link, runIn } from '../context/chain.ts'
import type { Enclosing, Handle, Settings } from '../context/frame.ts'
import type { Slot, TransactionPlace } from '../slot/slot.ts'
import type { ManualTransaction } from '../transaction/transaction.ts'
import type { TransactionOptions } from '../transaction/options.ts'
import { Executor } from './executor.ts'
import type { MadeWith } from '../../sql/statement.ts'
import { chainWith, settingsOfMade } from './made-with.ts'
import type { EngineOp } from './op.ts'
import type { RunningEngine } from '../runtime.ts'

export class Placed extends Executor {
  readonly #base: Executor
  readonly #settings: Settings

  /** All the settings its statements have. */
  constructor(base: Executor, settings: Settings) {
    super()
    this.#base = base
    this.#settings = settings
  }

  /** @internal */
  override at(on: Executor): Executor {
    return on === this.#base ? this : new Placed(on, this.#settings)
  }

  /** @internal */
  override engineHere(): RunningEngine | Promise<RunningEngine> {
    return this.#base.engineHere()
  }

  /** @internal */
  override engineQuietly(): RunningEngine | null {
    return this.#base.engineQuietly()
  }

  /** @internal */
  override chainHere(): Link | undefined {
    const engine = this.engineQuietly()
    return engine === null ? currentChain() : chainWith(this.#settings, engine, currentChain())
  }

  /** @internal */
  override send(op: EngineOp): void {
    this.#base.send(op)
  }

  /** @internal */
  override slotHere(engine: EngineCore, chain: Link | undefined): Slot | null {
    return this.#base.slotHere(engine, chain)
  }

  /** @internal */
  override placeHere(reuse: boolean, engine: EngineCore): TransactionPlace {
    const place = this.#base.placeHere(reuse, engine)
    const chain = chainWith(this.#settings, engine, place.chain)
    return { ...place, chain, slot: reuse ? this.slotHere(engine, chain) : null }
  }

  /** @internal */
  override transactionHere(): Enclosing | null {
    return this.#base.transactionHere()
  }

  /** @internal */
  override settingsHere(): Settings {
    return this.#settings
  }

  /** @internal */
  override handleHere(): Handle | null {
    return this.#base.handleHere()
  }

  /** @internal */
  override defaultsHere(): QueryDefaults | null {
    return this.#base.defaultsHere()
  }

  /** @internal */
  override begin(options?: TransactionOptions | Handle): Promise<ManualTransaction> {
    return runIn(this.chainHere(), () => this.#base.begin(options))
  }

  override toString(): string {
    return 'Executor at a place'
  }
}

/**
 * The executor whose statements run with what something was made with: on the path of the schema it was made in.
 * @param subject What was made, as the subject of a sentence: "This query".
 * @throws {TransactionStateError} when statements of `executor` run with other settings here.
 */
export function executorOfMade(made: MadeWith | null, executor: Executor, subject: string): Executor {
  const settings = made === null ? null : settingsOfMade(made, executor, subject)
  return settings === null ? executor : new Placed(executor, settings)
}
