// The statements prepared on one session: which names the server knows, with what shape, and which of them to forget when
// there are too many. Exchanges plan their steps here. It sends nothing; it only says what to close.
import type { ConnectionHooks, Op } from '../../driver.ts'
import type { Compiled } from '../../../sql/compiled.ts'
import { endsTransaction, namesMoved } from '../op-rules.ts'
import type { MessageWriter } from '../message-writer.ts'
import type { NameResolution } from '../name-resolution.ts'
import type { Status } from '../outcome.ts'
import { hasLiterals } from '../../../postgres/reading.ts'
import { type Pooler, probe, probeName } from './pooler.ts'
import { Guesses } from './first-run.ts'
import { Prepared } from './statement.ts'
import { Step } from '../step.ts'
import type { TypeBook } from '../../../postgres/types/book.ts'

/** Of statements whose names mean the same under every search_path: no number of a name space. */
const anyPath = -1

export interface Limits {
  readonly statementCacheSize: number
  /** Statements are prepared by name through it. */
  readonly pooler?: Pooler | null
}

type Told = Pick<ConnectionHooks, 'unprepared'>

/** What a session gives it. */
interface Planning {
  /** Put before the names of statements. */
  readonly prefix: string
  readonly types: TypeBook
  readonly carrier: unknown
}

interface Closing {
  readonly writer: Pick<MessageWriter, 'closeStatement' | 'closePortal'>
  readonly dropped: string[]
}

/**
 * A bounded cache with second chance: a clock's hand passes over what was used and takes the first that was not. Where it is full a
 * statement runs unnamed at first: it is prepared when it comes again soon.
 */
export class PreparedCache {
  readonly #limit: number
  readonly #names: NameResolution
  /** Null: the session is the server's, or statements are not prepared through what is in between. */
  readonly #pooler: Pooler | null
  readonly #told: Told
  /** By the meaning of names, then by the engine's name. */
  readonly #known = new Map<number, Map<string, Prepared>>()
  /** Those that mean the same everywhere. */
  readonly #pathless = new Map<string, Prepared>()
  /** Those of the meaning that was asked for last. */
  #here: Map<string, Prepared>
  #id: number
  #ring: Prepared[] = []
  #hand = 0
  #closing: string[] = []
  /** The engine's names of those that lately found no room. */
  readonly #refused = new Set<string>()
  /** Counts units. */
  #unit = 0

  constructor({ statementCacheSize, pooler }: Limits, names: NameResolution, told: Told = {}) {
    this.#limit = statementCacheSize
    this.#pooler = pooler ?? null
    this.#told = told
    this.#names = names
    this.#id = names.id
    this.#here = new Map()
    this.#known.set(this.#id, this.#here)
  }

  /**
   * The steps of a unit. A statement that is new is known from now on; where there is no room for it, it runs unnamed.
   * @param tries How often it has failed before. After two times that was maybe because it was bound to what other units had parsed in
   *   vain. What a pooler has under a name may be stale in more than one session.
   */
  plan(ops: readonly Op[], { prefix, types }: Planning, tries: number): Step[] {
    this.#unit++
    // oxlint-disable-next-line unicorn/no-new-array -- a list that grows has room for seventeen at once
    const steps = new Array<Step>(ops.length)
    const named = this.#pooler === null || (this.#pooler.keeps && tries === 0)
    for (let i = 0; i < ops.length; i++) {
      const op = ops[i] as Op
      const step = new Step(op, this.#names)
      const { stmt } = step
      if (stmt === probe) step.entry = new Prepared(probeName(), '', 0, 0)
      else if (named && stmt.name !== '' && stmt.cls !== 'multi' && !this.#isUnread(stmt)) {
        if (this.#pooler === null) this.#prepare(step, prefix, tries > 1)
        else this.#prepareThrough(this.#pooler, step, types)
      }
      if (tries === 0) step.guesses = this.#names.inside ? Guesses.sure : Guesses.any
      step.names = namesMoved(stmt, this.#names.inside, this.#pooler === null)
      if (step.names !== 0) this.#names.send(op, step.names)
      steps[i] = step
    }
    return steps
  }

  /** The step of an operation whose statement the server has parsed and described; null: it is not so, or means something else now. */
  known(op: Op): Step | null {
    const { stmt } = op
    if (this.#runsUnnamed() || this.#isUnread(stmt)) return null
    const found = this.#now().get(this.#keyOf(stmt))
    if (found === undefined || !found.parsed || found.shape === null || this.#isOld(found)) return null
    const step = new Step(op, this.#names)
    this.#use(found, step)
    return step
  }

  /** As `known`, in a unit that opens a transaction: there it may be new to the session too. */
  joining(op: Op, planning: Planning): Step | null {
    const known = this.known(op)
    if (known !== null || this.#pooler !== null) return known
    const { stmt } = op
    const found = (stmt.pathless === true ? this.#pathless : this.#now()).get(this.#keyOf(stmt))
    // One that is old would have to be closed in front of the unit.
    if (found !== undefined && found.at < this.#names.since) return null
    const steps = this.plan([op], planning, 0)
    const step = steps[0] as Step
    if (step.encodes(planning) && !step.needsTypes) return step
    this.dropUnparsed(steps)
    return null
  }

  #prepare(step: Step, prefix: string, alone: boolean): void {
    const { pathless } = step.stmt
    const key = this.#keyOf(step.stmt)
    const here = pathless === true ? this.#pathless : this.#now()
    const found = here.get(key)
    if (found !== undefined && found.at >= step.since) {
      if (alone && !found.parsed && found.unit !== this.#unit) return
      return this.#use(found, step)
    }
    if (found !== undefined) {
      // Another statement of the unit still uses it as it was.
      if (found.unit === this.#unit) return
      this.forget(found)
    }
    if (!this.#makeRoom(key)) return
    const id = pathless === true ? anyPath : this.#id
    const name = id === this.#names.home || id === anyPath ? prefix + key : `${prefix}${key}_${id}`
    this.#add(new Prepared(name, key, id, step.since), here, step)
  }

  /**
   * Where a pooler keeps statements. Every client shares those of a text, and none can have it parsed anew: a statement whose names mean
   * something of its own, by a search_path, a role or a table of its transaction, runs unnamed.
   */
  #prepareThrough(pooler: Pooler, step: Step, types: TypeBook): void {
    const { stmt } = step
    const pathless = stmt.pathless === true
    if (this.#names.altered || !(pathless || this.#names.id === this.#names.home)) return
    if (this.#names.reading !== 0 && hasLiterals(stmt)) return
    const here = pathless ? this.#pathless : this.#now()
    const found = here.get(stmt.name)
    const open = step.isOpen(types)
    const old = found !== undefined && this.#isOld(found)
    if (found !== undefined && !old && !(open && found.pooled?.declared === null)) return this.#use(found, step)
    const declared = open ? step.sharedTypes : null
    if (open && declared === null) return
    if (found !== undefined) {
      if (found.unit === this.#unit) return
      this.forget(found)
      if (old) this.renew(found, stmt, true)
    }
    if (!this.#makeRoom(stmt.name)) return
    const pooled = pooler.name(stmt, declared)
    this.#add(new Prepared(pooled.name, stmt.name, pathless ? anyPath : this.#id, step.since, pooled), here, step)
  }

  /** The engine's name, and by which settings its literals were read where those are not what the session began with. */
  #keyOf(stmt: Compiled): string {
    const { reading } = this.#names
    return reading === 0 || !hasLiterals(stmt) ? stmt.name : `${stmt.name}r${reading}`
  }

  /** Nobody knows by which settings its literals would be read: it must be parsed each time. */
  #isUnread(stmt: Compiled): boolean {
    return this.#names.reading < 0 && hasLiterals(stmt)
  }

  #use(found: Prepared, step: Step): void {
    step.parse = false
    step.entry = found
    found.used = true
    found.unit = this.#unit
  }

  #add(entry: Prepared, here: Map<string, Prepared>, step: Step): void {
    entry.unit = this.#unit
    step.entry = entry
    here.set(entry.key, entry)
    this.#ring.push(entry)
  }

  /** Nothing is prepared here, or nothing that means what names mean now. */
  #runsUnnamed(): boolean {
    const pooler = this.#pooler
    return pooler !== null && (!pooler.keeps || this.#names.altered)
  }

  /** Those that mean what names mean now. */
  #now(): Map<string, Prepared> {
    const { id } = this.#names
    if (id === this.#id) return this.#here
    if (this.#here.size === 0) this.#known.delete(this.#id)
    this.#id = id
    this.#here = this.#known.get(id) ?? new Map<string, Prepared>()
    this.#known.set(id, this.#here)
    return this.#here
  }

  /** It must be parsed again before it runs; the server is told to close it with the next packet. */
  forget(statement: Prepared): void {
    if (this.#remove(statement)) this.#closing.push(statement.name)
  }

  /**
   * The pooler has no other plan for the text of that one, and this was stale: the next one has another text. Or it may be so: where the
   * types of its parameters are others when it is described again.
   */
  renew({ pooled, shape }: Prepared, stmt: Compiled, surely: boolean): void {
    if (pooled !== null) this.#pooler?.renew(stmt, pooled.edition, surely ? null : (shape?.params ?? null))
  }

  /** What is known of the types of a statement's parameters may be of yesterday: nothing is any more. False: nothing was. */
  doubts(step: Step, types: TypeBook): boolean {
    const { entry, stmt } = step
    if (!step.isOpen(types) || step.knownTypes === null) return false
    stmt.shape = null
    if (entry === null) return true
    this.forget(entry)
    this.renew(entry, stmt, false)
    return true
  }

  /** The pooler does not keep them after all: what has not run runs again, unnamed. */
  unkept(): true {
    if (this.#pooler !== null) this.#pooler.keeps = false
    this.#told.unprepared?.()
    return true
  }

  /** A pooler has no other plan for a text, so what one session alone sees does not make its statements old. */
  #isOld({ pooled, at }: Prepared): boolean {
    return at < (pooled === null ? this.#names.since : this.#names.retyped)
  }

  /** The server has not parsed them after all. A pooler goes by the names that it was told. */
  dropUnparsed(steps: readonly Step[]): void {
    for (const { entry, parse } of steps)
      if (parse && entry !== null && !entry.parsed && this.#remove(entry) && entry.pooled !== null)
        this.#closing.push(entry.name)
  }

  #remove(statement: Prepared): boolean {
    const { path, key } = statement
    const those = path === anyPath ? this.#pathless : this.#known.get(path)
    if (those?.get(key) !== statement) return false
    those.delete(key)
    if (those.size === 0 && those !== this.#here) this.#known.delete(path)
    this.#ring.splice(this.#ring.indexOf(statement), 1)
    return true
  }

  /** The server has dropped all of them by itself. */
  clear(): void {
    this.#closing = this.#pooler === null ? [] : [...this.#closing, ...this.names()]
    this.#known.clear()
    this.#here.clear()
    this.#pathless.clear()
    this.#known.set(this.#id, this.#here)
    this.#ring = []
    this.#hand = 0
  }

  /** Those of a list that can be prepared and are not yet; as many as are kept. */
  unknown(statements: readonly Compiled[]): Compiled[] {
    if (this.#runsUnnamed()) return []
    const named = statements.filter(({ name, cls }) => name !== '' && cls !== 'multi')
    const here = this.#now()
    return named.filter((stmt) => !here.has(this.#keyOf(stmt))).slice(0, this.#limit - this.#ring.length)
  }

  /** The server has no others than these. */
  keep(names: ReadonlySet<string>): void {
    for (const statement of [...this.#ring]) if (!names.has(statement.name)) this.forget(statement)
    this.#closing = this.#closing.filter((name) => names.has(name))
  }

  names(): string[] {
    return this.#ring.map(({ name }) => name)
  }

  /**
   * Has statements and portals closed at the head of a packet, where no failing statement can skip that. Gives how many answers to that
   * come. Portals end with their transaction.
   */
  close({ writer, dropped }: Closing, status: Status, ops: readonly Op[]): number {
    const closing = this.#closing
    if (closing.length > 0) this.#closing = []
    // What was handed on to the server may be somebody else's by now.
    const names = this.#pooler?.keeps === false ? [] : closing
    for (const name of names) writer.closeStatement(name)
    if (dropped.length === 0) return names.length
    const portals = dropped.splice(0)
    if (status === 'idle' || endsTransaction(ops)) return names.length
    for (const name of portals) writer.closePortal(name)
    return names.length + portals.length
  }

  /** A statement that runs only once takes no place from one that is prepared. */
  #isAskedAgain(key: string): boolean {
    if (this.#refused.delete(key)) return true
    this.#refused.add(key)
    if (this.#refused.size > this.#limit)
      for (const oldest of this.#refused) {
        this.#refused.delete(oldest)
        break
      }
    return false
  }

  /** For one more, if it has been asked for before. Passes over those that are about to run. */
  #makeRoom(key: string): boolean {
    if (this.#limit === 0 || (this.#ring.length >= this.#limit && !this.#isAskedAgain(key))) return false
    for (let spared = 0; this.#ring.length >= this.#limit;) {
      if (this.#hand >= this.#ring.length) this.#hand = 0
      const candidate = this.#ring[this.#hand] as Prepared
      if (candidate.unit === this.#unit) {
        if (++spared > this.#ring.length * 2) return false
        this.#hand++
      } else if (candidate.used) {
        candidate.used = false
        this.#hand++
      } else this.forget(candidate)
    }
    return true
  }
}

/** Whether the command of this tag takes every prepared statement away. */
export function dropsPrepared(tag: string): boolean {
  return tag === 'DEALLOCATE ALL' || tag === 'DISCARD ALL'
}
