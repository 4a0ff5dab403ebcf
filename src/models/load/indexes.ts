// Whether an index finds the rows of a list, and whether whole numbers pair them: asked of the catalogue once for each relation and
// engine, for a declaration is no proof. The answer decides how a list is written, never what is in it: the same name may be of another
// table where the search_path is another one, and each result says itself whether its rows are paired by whole numbers.
import { StalePlanError } from '../../errors/index.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { sqlNameOf } from '../meta/table.ts'
import type { List } from './level.ts'
import { unconverted } from '../../sql/conversions.ts'
import type { ListColumnWords } from '../../sql/model-words.ts'

const engines = new WeakMap<object, Indexes>()

/** The answer of the catalogue about a list. */
interface Answer {
  readonly indexed: boolean
  /** False once a result has said that they are not. */
  whole: boolean
}

export class Indexes {
  readonly #words: ListColumnWords | null
  readonly #known = new Map<string, Answer>()
  /** Questions without an answer so far. */
  readonly #pending = new Set<string>()
  /** The answers again, by list. */
  readonly #lists = new WeakMap<List, Answer>()
  /** Another number whenever more is known. */
  version = 0

  private constructor(words: ListColumnWords | null) {
    this.#words = words
  }

  /** Of an engine; null while there is none. */
  static of(executor: Executor): Indexes | null {
    const engine = executor.engineQuietly()
    if (engine === null) return null
    let indexes = engines.get(engine)
    if (indexes === undefined) engines.set(engine, (indexes = new Indexes(engine.dialect.models.lists.inColumn)))
    return indexes
  }

  indexed(list: List): boolean {
    return this.#answer(list)?.indexed === true
  }

  whole(list: List): boolean {
    return this.#answer(list)?.whole === true
  }

  /** A result has columns of other types: from now on rows of these lists are numbered. */
  unpaired(lists: readonly List[]): StalePlanError {
    this.version++
    for (const list of lists) {
      const answer = this.#answer(list)
      if (answer !== undefined && answer !== neither) answer.whole = false
    }
    return new StalePlanError(
      'The columns of this result have changed since the statement was prepared, so the rows of a list cannot be put to their objects. Run the query again.',
    )
  }

  /** Whether there is nothing to ask. */
  knows(lists: readonly List[]): boolean {
    return lists.every((list) => this.#answer(list) !== undefined)
  }

  /** Of its relation, which the list of another loader may have asked for. */
  #answer(list: List): Answer | undefined {
    let answer = this.#lists.get(list)
    if (answer !== undefined) return answer
    const asked = askedOf(list)
    answer = asked === null ? neither : this.#known.get(JSON.stringify(asked))
    if (answer !== undefined) this.#lists.set(list, answer)
    return answer
  }

  /** Asks for all that is not known by one statement, and waits for the answer. Where that fails, lists are grouped. */
  async learn(executor: Executor, lists: readonly List[]): Promise<void> {
    try {
      this.#keep(lists, await this.#ask(executor, this.#missing(lists)), false)
    } catch {
      // It is only about speed, and is asked again the next time.
    }
  }

  /** Like `learn`, but the caller does not wait. It asks nothing where the question would wait for a connection that somebody holds. */
  learnBeside(executor: Executor, lists: readonly List[]): void {
    const engine = executor.engineQuietly()
    if (engine === null || this.knows(lists)) return
    const missing = this.#missing(lists).filter(([key]) => !this.#pending.has(key))
    const { reserved, max } = engine.pool.stats()
    const isFree = reserved < max
    if (missing.length > 0 && !isFree && executor.slotHere(engine, executor.chainHere()) === null) return
    for (const [key] of missing) this.#pending.add(key)
    void this.#ask(executor, missing)
      .then((answers) => this.#keep(lists, answers, true))
      .catch(() => {})
      .finally(() => {
        for (const [key] of missing) this.#pending.delete(key)
      })
  }

  /** The questions about them that have no answer so far, each with its key. */
  #missing(lists: readonly List[]): [key: string, asked: Asked][] {
    const missing = new Map<string, Asked>()
    for (const list of lists) {
      const asked = this.#lists.has(list) ? null : askedOf(list)
      const key = JSON.stringify(asked)
      if (asked !== null && !this.#known.has(key)) missing.set(key, asked)
    }
    return [...missing]
  }

  async #ask(
    executor: Executor,
    missing: readonly [key: string, asked: Asked][],
  ): Promise<ReadonlyMap<string, string>> {
    if (missing.length === 0 || this.#words === null) return new Map()
    const text = this.#words.relations(missing.length)
    const params = missing.flatMap(([, asked]) => asked)
    const answers = String(await executor.scalar<string>(text, params, unconverted)).split(',')
    return new Map(missing.map(([key], at) => [key, answers[at] as string]))
  }

  /** `elsewhere`: a table that was not found may be one of a transaction that is still open. */
  #keep(lists: readonly List[], answers: ReadonlyMap<string, string>, elsewhere: boolean): void {
    if (this.#known.size >= most) this.#known.clear()
    for (const [key, answer] of answers)
      if (answer !== 'unknown' || !elsewhere)
        this.#known.set(key, {
          indexed: answer.includes('indexed'),
          whole: answer.includes('whole'),
        })
    this.version++
    // An answer stays, although others may push it out.
    for (const list of lists) this.#answer(list)
  }
}

const most = 2000
const neither: Answer = { indexed: false, whole: false }
type Asked = readonly [child: string, columns: readonly string[], parent: string, columns: readonly string[]]

/** Null where the catalogue has nothing to say: of a subquery, of a condition that is not equality of columns. */
function askedOf({ pairs, parent, child }: List): Asked | null {
  if (pairs === null || child.isQuery) return null
  return [sqlNameOf(child.table), pairs.child.map(nameOf), sqlNameOf(parent.table), pairs.parent.map(nameOf)]
}

const nameOf = ({ name }: { readonly name: string }): string => name
