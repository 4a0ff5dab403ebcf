// Reports of statements that take long, and of texts that one scope sends again and again.
import { notice, withoutLiterals } from '../observe/channels.ts'
import { capturePlace, unknownPlace } from '../observe/place.ts'
import type { ResolvedOptions } from '../options/options.ts'
import { inOneLine } from '../util/thrown.ts'
import { type Repeated, type StatementTrace, textOf, type Told } from './report.ts'

/** A statement while reports of it are wanted. */
type Watched = Told & { readonly trace: StatementTrace | null }

const longestShown = 200

/** Without values that somebody has written into it. */
function shown({ stmt, params }: Told): string {
  const text = params.length === 0 ? withoutLiterals(textOf(stmt).slice(0, 10_000)) : textOf(stmt)
  const line = inOneLine(text)
  return line.length > longestShown ? `${line.slice(0, longestShown - 1)}…` : line
}

/**
 * Tells which statements took long, and which text one scope sends again and again. It is asked after the await of the caller,
 * whose line is in the stack then.
 */
export class Watch {
  readonly #slowMs: number
  readonly #times: number
  readonly #sent = new WeakMap<object, Map<string, Repeated>>()

  private constructor(slowMs: number, times: number) {
    this.#slowMs = slowMs
    this.#times = times
  }

  /** Null: nothing of it is wanted. */
  static of({ slow, repeats }: Pick<ResolvedOptions, 'slow' | 'repeats'>): Watch | null {
    return slow.afterMs === Infinity && repeats.afterTimes === Infinity
      ? null
      : new Watch(slow.afterMs, repeats.afterTimes)
  }

  /** A statement is sent in a scope or transaction. */
  sent(scope: object, op: Watched): void {
    if (this.#times === Infinity || op.trace === null) return
    const text = textOf(op.stmt)
    let texts = this.#sent.get(scope)
    if (texts === undefined) this.#sent.set(scope, (texts = new Map()))
    const known = texts.get(text)
    if (known === undefined) {
      texts.set(text, { times: 1, first: op.params, same: true })
      return
    }
    known.same &&= known.first.every((value, index) => Object.is(value, op.params[index]))
    if (++known.times === this.#times + 1) op.trace.repeated = known
  }

  ended(op: Watched): void {
    const { trace } = op
    if (trace === null) return
    const { sentAt, endedAt, issuedAt, repeated } = trace
    const durationMs = Math.round(endedAt - sentAt)
    const waitMs = Math.round(sentAt - issuedAt)
    if (sentAt !== 0 && endedAt - sentAt > this.#slowMs)
      tell(
        op,
        'slow-statement',
        { durationMs, waitMs },
        `A statement took ${durationMs} ms (slow.afterMs is ${this.#slowMs}): ${shown(op)}`,
      )
    if (repeated === null) return
    const advice = repeated.same
      ? 'each time with the same values. Keep what it gave.'
      : 'with other values. One statement for all of them is quicker: a list of values, a join, or load() of models.'
    const many = `One scope has sent the same statement ${repeated.times} times, ${advice} (repeats.afterTimes is ${this.#times}.)`
    tell(op, 'repeated-statement', { times: repeated.times }, `${many} ${shown(op)}`)
  }
}

function tell(
  { engine }: Told,
  code: 'slow-statement' | 'repeated-statement',
  details: Readonly<Record<string, number>>,
  message: string,
): void {
  const place = capturePlace().toString()
  notice(code, message, { engine: engine.name, places: place === unknownPlace ? [] : [place], details })
}
