// The database of a script: a `Db` like any other, with the words of scripts on top.
import { Db } from '../db/db.ts'
import type { Engine, EngineStats, CloseOptions } from '../engine/engine.ts'
import type { EngineOptions, EngineSource } from '../engine/open/create-engine.ts'
import type { Row } from '../engine/query/executor.ts'
import type { Status } from '../engine/query/execute.ts'
import { GeneverError, StepError, UsageError } from '../errors/index.ts'
import type { CloseReport } from '../pool/contract.ts'
import type { Params } from '../sql/statement.ts'
import { describeType, isPlain } from '../util/options.ts'
import { thrownText } from '../util/thrown.ts'

/** A statement of `trans`: its text, or its text with parameters. */
export type Step = string | { readonly text: string; readonly params?: Params | undefined }

/** The `Db` it was made of, with methods named as in database scripts. It behaves like that `Db` in everything else. */
export class ScriptDb extends Db {
  readonly #db: Db

  /** @internal Use `run()`. */
  constructor(db: Db) {
    super()
    this.#db = db
    this.bakery = db.bakery
  }

  /** The rows: `all` by the name that scripts know. */
  select<R = Row>(text: string, params?: Params): Promise<R[]> {
    return this.all<R>(text, params)
  }

  /** The status of a statement: `status` by the name that scripts know. */
  execute(text: string, params?: Params): Promise<Status> {
    return this.status(text, params)
  }

  /**
   * Runs the steps one after the other in one transaction: all of them, or none. `[]` does nothing.
   *
   * @throws {StepError} for the first step that fails, with its number. Everything was rolled back.
   * @throws {UsageError} when a value is not a step, before anything runs.
   */
  async trans(steps: readonly Step[]): Promise<Status[]> {
    if (!Array.isArray(steps)) throw new UsageError(`trans() takes an array of statements, not ${describeType(steps)}.`)
    const known = steps.map(checkedStep)
    if (known.length === 0) return []
    return this.transaction(async (tx) => {
      const done: Status[] = []
      for (const { text, params } of known) {
        try {
          done.push(await tx.status(text, params))
        } catch (cause) {
          const step = done.length + 1
          const retryable = cause instanceof GeneverError && cause.retryable
          throw new StepError(
            `Step ${step} of ${known.length} failed, and everything was rolled back: ${thrownText(cause)}`,
            { cause, step, retryable },
          )
        }
      }
      return done
    })
  }

  override open(): Promise<this> {
    return this.#db.open().then(() => this)
  }

  override bind(source: EngineSource | Engine, options?: EngineOptions): Promise<Engine> {
    return this.#db.bind(source, options)
  }

  override unbind(): Engine | undefined {
    return this.#db.unbind()
  }

  override withBind<T>(
    source: EngineSource | Engine,
    work: (engine: Engine) => Promise<T> | T,
    options?: EngineOptions,
  ): Promise<T> {
    return this.#db.withBind(source, work, options)
  }

  override stats(): EngineStats {
    return this.#db.stats()
  }

  override close(options?: CloseOptions): Promise<CloseReport> {
    return this.#db.close(options)
  }

  /** @internal Frames are those of the db it stands for. */
  override token(): object {
    return this.#db.token()
  }

  /** @internal */
  override engineQuietly(): Engine | null {
    return this.#db.engineQuietly()
  }

  /** @internal */
  override engineAtHome(): Engine | null {
    return this.#db.engineAtHome()
  }

  /** @internal */
  override engineHere(): Engine | Promise<Engine> {
    return this.#db.engineHere()
  }

  /** @internal */
  override checkUsable(): void {
    this.#db.checkUsable()
  }

  /** @internal */
  override runsOn(engine: Engine): boolean {
    return this.#db.runsOn(engine)
  }

  override toString(): string {
    return `Script${this.#db.toString()}`
  }
}

function checkedStep(step: Step, index: number): { readonly text: string; readonly params?: Params | undefined } {
  if (typeof step === 'string') return { text: step }
  if (isPlain(step) && typeof step.text === 'string') {
    const unknown = Object.keys(step).find((name) => name !== 'text' && name !== 'params')
    if (unknown === undefined) return { text: step.text, params: step.params }
    throw new UsageError(
      `Step ${index + 1} of trans() has a member ${JSON.stringify(unknown)}: there are text, params.`,
    )
  }
  throw new UsageError(
    `Step ${index + 1} of trans() is ${describeType(step)}: a step is SQL as a string, or { text, params }.`,
  )
}
