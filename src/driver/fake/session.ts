// One session of the fake server: its transaction, its cursors, and the statements of the engine itself. The test answers all others.
// The backend feeds it statements one by one and ends each unit with `sync`. It knows nothing of connections, faults or time.
import { controlOf } from '../../postgres/control.ts'
import type { ControlText } from '../../sql/control-text.ts'
import { statementsOf } from '../../postgres/lexer.ts'
import { Dirty } from '../../sql/compiled.ts'
import { Printable } from '../../util/thrown.ts'
import type { Fields, Status } from '../postgres/outcome.ts'
import type { ServerFault } from './scenario.ts'

/** A row by the names of its columns. */
export type FakeRow = Readonly<Record<string, unknown>>

/** The answer of the server to one statement. */
export interface Rows {
  readonly rows: readonly (FakeRow | readonly unknown[])[]
  /** Names of the columns, for rows that are arrays; else `column1`, … */
  readonly columns?: readonly string[]
  readonly tag: string
  readonly count: number
  /** Of a text of several statements: the answer to each. @internal */
  readonly each?: readonly Rows[]
}
export interface Refused {
  readonly error: Fields
}
/** The answer takes its time; Infinity: until cancelled. */
export interface Waiting extends Rows {
  readonly waitMs: number
}
export type Reply = Rows | Refused | Waiting

/** The answer of the test to a text; null: none. */
export type Answerer = (text: string, params: readonly unknown[], session: FakeSession) => Reply | null

export interface SessionListener {
  notice(fields: Fields): void
  /** The server ended the session by itself. */
  killed(fields: Fields): void
}

interface FakeCursor {
  readonly reply: Rows
  readonly hold: boolean
  at: number
}

interface FakeTransaction {
  explicit: boolean
  failed: boolean
  /** What the session held before it, and before each of its savepoints. */
  readonly before: unknown
  readonly savepoints: { readonly name: string; readonly before: unknown }[]
}

/** One session of a `FakeDriver`, as its function `answer` sees it. */
export class FakeSession extends Printable {
  readonly id: number
  /** @internal */
  readonly cursors: Map<string, FakeCursor> = new Map<string, FakeCursor>()
  /** @internal */
  listener: SessionListener | null = null
  /** True once the session is over, whoever ended it. */
  ended = false
  #transaction: FakeTransaction | null = null
  readonly #answer: Answerer

  /** @internal */
  constructor(id: number, answer: Answerer) {
    super()
    this.id = id
    this.#answer = answer
  }

  /** The status byte of the next ReadyForQuery. */
  get status(): Status {
    const tx = this.#transaction
    if (tx === null || !tx.explicit) return 'idle'
    return tx.failed ? 'failed' : 'tx'
  }

  /** The transaction a statement runs in; without BEGIN it lasts until the next `sync`. */
  get #current(): FakeTransaction {
    this.#transaction ??= { explicit: false, failed: false, before: this.save(), savepoints: [] }
    return this.#transaction
  }

  /** @internal */
  execute(text: string, params: readonly unknown[]): Reply {
    let reply: Reply = done('')
    const each: Rows[] = []
    for (const part of statementsOf(text)) {
      const control = transactionControl(part)
      const ends = control?.kind === 'commit' || control?.kind.startsWith('rollback') === true
      if (this.#current.failed && !ends)
        reply = refused({
          error: '25P02',
          message: 'current transaction is aborted, commands ignored until end of transaction block',
        })
      else if (control !== null) reply = this.#control(control, part)
      else
        reply =
          this.run(part, params) ??
          refused({ error: '42601', message: 'the fake server has no answer to this statement' })
      if ('error' in reply) {
        this.#current.failed = true
        return reply
      }
      each.push(reply)
    }
    return { ...reply, each }
  }

  /** The server refuses a statement instead of running it. A COMMIT that is refused has rolled back. @internal */
  refuse(text: string, error: Fields): Refused {
    if (transactionControl(text)?.kind === 'commit' && this.#transaction?.explicit === true) this.#end(false)
    else this.#current.failed = true
    return { error }
  }

  /** The end of a unit. An error in it rolls back what it did outside of a transaction block. @internal */
  sync(): void {
    const tx = this.#transaction
    if (tx !== null && !tx.explicit) this.#end(!tx.failed)
  }

  /** Undoes what these `Dirty` bits stand for. Named statements of the driver are kept. @internal */
  reset(dirty: number, baseline: string): void {
    if (this.#transaction !== null) this.#end(false)
    this.undo(dirty)
    if (baseline !== '') this.execute(baseline, [])
    this.sync()
  }

  /** The session is over: an open transaction is rolled back. Idempotent. @internal */
  end(): void {
    if (this.ended) return
    if (this.#transaction !== null) this.#end(false)
    this.ended = true
    this.cursors.clear()
  }

  /** Ends the session as `pg_terminate_backend` does; the connection finds out in a later step. */
  kill(code: string = '57P01', message: string = 'terminating connection due to administrator command'): void {
    if (this.ended) return
    this.end()
    this.listener?.killed({ severity: 'FATAL', code, message })
  }

  /** @internal */
  notice(code: string, message: string, severity: string = 'WARNING'): void {
    this.listener?.notice({ severity, code, message })
  }

  /** One statement that is no transaction control; null: the server does not know it. @internal */
  protected run(text: string, params: readonly unknown[]): Reply | null {
    return this.#cursorText(text, params) ?? this.#answer(text, params, this) ?? ownWords(text)
  }

  /** What the session holds and a rollback restores. @internal */
  protected save(): unknown {
    return new Map(this.cursors)
  }

  /** @internal */
  protected restore(saved: unknown): void {
    this.cursors.clear()
    for (const [name, cursor] of saved as typeof this.cursors) this.cursors.set(name, cursor)
  }

  /** BEGIN, with the modes of its text. @internal */
  protected begun(_control: ControlText): void {}

  /** The transaction is over. @internal */
  protected finished(committed: boolean): void {
    if (committed) for (const [name, { hold }] of this.cursors) if (!hold) this.cursors.delete(name)
  }

  /** @internal */
  protected undo(dirty: number): void {
    if (dirty & (Dirty.unknown | Dirty.cursors)) this.cursors.clear()
  }

  #control(control: ControlText, text: string): Reply {
    const tx = this.#current
    const { kind } = control
    if (kind === 'begin') {
      if (tx.explicit) this.notice('25001', 'there is already a transaction in progress')
      tx.explicit = true
      this.begun(control)
      return done(/^start/i.test(text) ? 'START TRANSACTION' : 'BEGIN')
    }
    if (kind === 'commit' || kind === 'rollback') {
      if (!tx.explicit) this.notice('25P01', 'there is no transaction in progress')
      const commits = kind === 'commit' && !tx.failed
      this.#end(commits)
      return done(commits ? 'COMMIT' : 'ROLLBACK')
    }
    if (!tx.explicit)
      return refused({ error: '25P01', message: `${kind.toUpperCase()} can only be used in transaction blocks` })
    const name = 'name' in control ? control.name : ''
    const { savepoints } = tx
    if (kind === 'savepoint') savepoints.push({ name, before: this.save() })
    else {
      const at = savepoints.findLastIndex((savepoint) => savepoint.name === name)
      if (at < 0) return refused({ error: '3B001', message: `savepoint "${name}" does not exist` })
      if (kind === 'rollback to') {
        this.restore(savepoints[at]?.before)
        tx.failed = false
      }
      savepoints.length = kind === 'release' ? at : at + 1
    }
    return done(kind === 'rollback to' ? 'ROLLBACK' : kind.toUpperCase())
  }

  #end(commits: boolean): void {
    const { before } = this.#current
    this.#transaction = null
    if (!commits) this.restore(before)
    this.finished(commits)
  }

  #cursorText(text: string, params: readonly unknown[]): Reply | null {
    const [, declared, modes = '', query = ''] = /^declare\s+(\S+)\s+.*?\bcursor\b(.*?)\bfor\s+(.+)$/is.exec(text) ?? []
    if (declared !== undefined) {
      const hold = /\bwith\s+hold\b/i.test(modes)
      if (!hold && this.status === 'idle')
        return refused({ error: '25P01', message: 'DECLARE CURSOR can only be used in transaction blocks' })
      const reply = this.run(query, params)
      if (reply === null || 'error' in reply) return reply
      this.cursors.set(declared, { reply, hold, at: 0 })
      return done('DECLARE CURSOR')
    }
    const [, verb = '', many = '1', named = ''] =
      /^(fetch|move|close)\s+(?:forward\s+|next\s+)?(\d+|all(?=\s))?\s*(?:from\s+|in\s+)?(\S+)$/i.exec(text) ?? []
    if (verb === '') return null
    const tag = verb.toUpperCase()
    if (tag === 'CLOSE' && /^all$/i.test(named)) this.cursors.clear()
    else {
      const cursor = this.cursors.get(named)
      if (cursor === undefined) return refused({ error: '34000', message: `cursor "${named}" does not exist` })
      if (tag !== 'CLOSE') {
        const rows = cursor.reply.rows.slice(cursor.at, cursor.at + (/^all$/i.test(many) ? Infinity : Number(many)))
        cursor.at += rows.length
        return { ...cursor.reply, rows: tag === 'MOVE' ? [] : rows, tag, count: rows.length }
      }
      this.cursors.delete(named)
    }
    return done('CLOSE CURSOR')
  }

  /** What it holds, in words. @internal */
  protected describe(): string[] {
    return this.cursors.size === 0 ? [] : [`cursors: ${[...this.cursors.keys()].join(' ')}`]
  }

  override toString(): string {
    return `FakeSession ${this.id} { ${[this.ended ? 'ended' : this.status, ...this.describe()].join(', ')} }`
  }
}

/** Null for a text that is none. */
export function transactionControl(text: string): ControlText | null {
  const control = controlOf(text)
  return control.kind === 'other' || control.kind === 'modes' ? null : control
}

/** An ErrorResponse. A server names the routine that complains, and a pooler does not. */
export function refused({ error: code, message = `error ${code}`, fields }: ServerFault): Refused {
  return { error: { severity: 'ERROR', code, message, routine: 'FakeDriver', ...fields } }
}

export function done(tag: string): Rows {
  return { rows: [], tag, count: -1 }
}

/** What the engine says by itself, and what means nothing here: settings, and a question that only wants an answer. */
function ownWords(text: string): Rows | null {
  const [, verb = ''] = /^(set|reset|listen|unlisten)\b/i.exec(text) ?? []
  if (verb !== '') return done(verb.toUpperCase())
  return /^select\s+(?:1\b|set_config\()/i.test(text) ? { rows: [[1]], tag: 'SELECT', count: 1 } : null
}
