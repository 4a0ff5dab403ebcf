// Resets a session of MySQL to the state in which every user gets it. Settings that were set by name are taken back by name, so
// prepared statements stay. State without a name needs a reset by the server, which drops them.
import { plainRollback } from '../../mysql/dialect.ts'
import { Dirty } from '../../sql/compiled.ts'
import type { Failure, Op } from '../driver.ts'
import { Code, textPacket } from './packets.ts'
import { Remembered } from './remembered.ts'
import type { Runner } from './runner.ts'

/**
 * SQL that says whose session it is, and in which role: no reset by the server goes back to those of the login. MySQL has roles since 8.0.
 */
export const identities = ["hex(concat_ws(' ', current_user(), current_role()))", 'hex(current_user())'] as const

/** The text that is sent when a session opens, and after each reset by the server. `autocommit` is SQL that gives 1. */
export type Establishing = (autocommit: string, collation: string) => string

export class Baseline {
  readonly #runner: Runner
  readonly #established: Establishing
  /** As the server said it when the session was opened. */
  identity: { readonly asked: string; readonly told: string } | null = null
  /** Of the connection, as it was when the session was opened. */
  collation = 'utf8mb4_general_ci'
  readonly #remembered = new Remembered()
  /** The database and the way of reading texts that a reset brings back. */
  #home: string
  #homeMode = 0

  constructor(runner: Runner, established: Establishing, database: string) {
    this.#runner = runner
    this.#established = established
    this.#home = database
  }

  /**
   * What the options say. Null: the session is so. The server refuses a 2, which tells that somebody has become another user, or has taken
   * another role.
   */
  establish(): Promise<Failure | null> {
    const { identity } = this
    const autocommit = identity === null ? '1' : `if(${identity.asked} = '${identity.told}', 1, 2)`
    return this.#runner.own(this.#established(autocommit, this.collation))
  }

  /** It sets something in the session. */
  note(op: Op): void {
    this.#remembered.note(op)
  }

  /** The session is as every user gets it. Gives its database; `''` for none. */
  settle(): string {
    this.#remembered.settle()
    this.#home = this.#runner.database ?? this.#home
    this.#homeMode = this.#runner.mode
    return this.#home
  }

  /** False: it cannot be made so. */
  async restore(dirty: number): Promise<boolean> {
    const remembered = this.#remembered
    remembered.seal()
    const open = this.#runner.status !== 'idle'
    if (open && !(await this.#run(plainRollback))) return false
    const named = (dirty & ~(Dirty.settings | Dirty.role | Dirty.framed)) === 0 && !remembered.beyond
    // The role stays through a reset, and there is no word for that of the login.
    if (remembered.role || !(named ? await this.#undo(dirty, open) : await this.#resetAll())) return false
    if (!(await this.#goHome())) return false
    remembered.forget()
    this.#runner.remode(this.#homeMode)
    return true
  }

  /** Takes back by name what was set by name: prepared statements stay. */
  async #undo(dirty: number, open: boolean): Promise<boolean> {
    if (dirty === 0 && !open) return this.#resetAll()
    const undoing = this.#remembered.undoing()
    if (undoing === null) return true
    if (!(await this.#run(undoing))) return false
    if (!/\bSESSION\b/.test(undoing)) return this.#replay()
    // The server's default is not what the driver sets.
    return (await this.establish()) === null && this.#replay()
  }

  async #resetAll(): Promise<boolean> {
    this.#runner.prepared.clear()
    this.#runner.tablesLocked = false
    if (!(await this.#packet(Code.reset)) || (await this.establish()) !== null) return false
    return (await this.#goHome()) && this.#replay()
  }

  /** To the database of the login, or that `onConnect` chose: no reset by the server does. */
  async #goHome(): Promise<boolean> {
    const runner = this.#runner
    if (runner.database === this.#home) return true
    if (this.#home === '' || !(await this.#packet(Code.useDatabase, this.#home))) return false
    runner.database = this.#home
    runner.rescope()
    return true
  }

  async #replay(): Promise<boolean> {
    for (const { text, params } of this.#remembered.baseline) if (!(await this.#run(text, params))) return false
    return true
  }

  async #packet(code: number, text?: string): Promise<boolean> {
    return (await this.#runner.packet(textPacket(code, text))) === null
  }

  async #run(text: string, params?: readonly unknown[]): Promise<boolean> {
    return (await this.#runner.own(text, params)) === null
  }
}
