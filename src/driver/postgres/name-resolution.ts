// The meaning of names and literals on one session: the search_path, role and settings under which statements are parsed, and when this
// session last changed the catalogue. A prepared statement keeps the meaning it was parsed with, so it is found again only under the
// same. It hears of statements as they are planned and of units as they end. A path that cannot be known equals no other.
import { type Compiled, Dirty, Names } from '../../sql/compiled.ts'
import type { Op } from '../driver.ts'
import type { Status } from './outcome.ts'
import { pathChange, pathSaid } from '../../postgres/path-change.ts'
import { numberOf, type Read, type ReadChanges, readValue, unknownRead, withChanges } from '../../postgres/reading.ts'
import { readsBy } from '../../postgres/verdict.ts'
import { nextMoment, SchemaVersion } from './schema-version.ts'

/** A search_path and a role, and the settings by which literals are read. Equal ones have equal numbers, whatever the session. */
interface Place {
  readonly path: string
  readonly role: string
  readonly id: number
  readonly read: Read
  readonly reading: number
}

/** What the server has announced since the last unit was answered. */
interface Said {
  path: string | null
  read: Record<string, string | null> | null
}

interface Savepoint {
  readonly name: string
  readonly now: Place
  readonly kept: Place
}

const ids = new Map<string, number>()
const mostIds = 10_000
let lastId = -1
let strangers = 0

function placeOf(path: string, role: string, read: Read = ''): Place {
  // Who the role is matters where the path names it; the usual path, which is not told, does.
  const key = path === '' || path.includes('$user') || path.startsWith('?') ? `${path}\n${role}` : path
  let id = ids.get(key)
  if (id === undefined) {
    if (ids.size >= mostIds) ids.clear()
    ids.set(key, (id = ++lastId))
  }
  return { path, role, id, read, reading: numberOf(read) }
}

/** Of every session whose server does not tell its path; it has the number 0. */
const usual: Place = placeOf('', '')

const strange = (): string => `?${++strangers}`
const stranger = (): Place => placeOf(strange(), strange(), unknownRead)

type Mark = readonly [now: Place, kept: Place, begun: Place | null, altered: boolean]

export class NameResolution {
  readonly #version: SchemaVersion
  #since = 0
  /** Columns that others see were changed, and that is not committed yet. */
  #retyped = false
  #now: Place = usual
  /** What is left of it when the transaction is committed. */
  #kept: Place = usual
  /** What a reset restores. */
  #base: Place = usual
  /** That is not what the session began with. */
  #rebased = false
  /** What a rollback restores; null outside of a transaction. */
  #begun: Place | null = null
  #savepoints: Savepoint[] = []
  /** The catalogue was changed in this transaction. */
  #altered = false
  /** It may have temporary tables. */
  #temporary = false
  #home: number = usual.id
  /** What it was before the unit in flight; null as long as nothing of that has an effect here. */
  #mark: Mark | null = null
  #commit: Op | null = null
  #said: Said | null = null
  /** The settings by which literals are read, as the session began. */
  readonly #began = new Map<string, string | undefined>()

  constructor(version: SchemaVersion = new SchemaVersion()) {
    this.#version = version
  }

  /** When the catalogue was changed: what was parsed before is parsed again. */
  get since(): number {
    const { at } = this.#version
    return at > this.#since ? at : this.#since
  }

  /** When columns were changed, by this session or another. */
  get retyped(): number {
    return this.#version.at
  }

  /** The `id` with which the session was opened. */
  get home(): number {
    return this.#home
  }

  /** Equal for statements that mean the same by the same names, as far as it can be known. */
  get id(): number {
    return this.#now.id
  }

  /** Of the settings by which literals are read: 0 for those that the session began with, -1 for unknown ones. */
  get reading(): number {
    return this.#now.reading
  }

  /** The catalogue was changed in the transaction that is open, or in the unit that is planned. */
  get altered(): boolean {
    return this.#altered
  }

  /** Names may mean something that no other session sees: what is known of a statement here holds for it alone. */
  get apart(): boolean {
    return this.#altered || this.#temporary
  }

  /** What the server announced when the session was opened. */
  open(announced: ReadonlyMap<string, string>): void {
    for (const [name, value] of announced)
      if (readsBy(name)) this.#began.set(name.toLowerCase(), readValue(name, value))
    const path = announced.get('search_path')
    if (path === undefined) return
    this.#now = this.#kept = this.#base = placeOf(pathSaid(path), '')
    this.#home = this.#now.id
  }

  /** What is there now is what a reset restores. */
  rebase(): void {
    if (this.#base !== this.#now) this.#rebased = true
    this.#base = this.#now
  }

  /** A transaction is open, or will be when what is planned was answered. */
  get inside(): boolean {
    return this.#begun !== null
  }

  /** The next of the statements that are planned. @param names What it does to names, as `Names` bits. */
  send(op: Op, names: number): void {
    const { stmt } = op
    this.#mark ??= [this.#now, this.#kept, this.#begun, this.#altered]
    if ((names & Names.catalogue) !== 0) {
      this.#altered = true
      this.changed()
    }
    // What is dropped where temporary tables are is taken for one of them, which no other session sees.
    if ((names & Names.columns) !== 0 && !(this.#temporary && stmt.verb === 'DROP')) {
      this.#retyped = true
      this.#version.changed()
    }
    // A function that it calls may make them.
    const hidden = (names & ~stmt.names & Names.catalogue) !== 0
    if (hidden || (stmt.dirties & Dirty.temp) !== 0) this.#temporary = true
    if (stmt.cls === 'multi' && stmt.hasControl) this.lose()
    else if ((names & Names.transaction) !== 0) this.#control(op)
    else if ((names & (Names.path | Names.reading)) !== 0) this.#move(stmt, op.params, names)
  }

  /** Nothing of the unit was sent after all. */
  unsend(): void {
    const mark = this.#mark
    if (mark === null) return
    ;[this.#now, this.#kept, this.#begun, this.#altered] = mark
    this.#mark = null
    this.#commit = null
  }

  /** A unit was answered. @param own Whether it held statements that were sent by `send`: there is one such unit at a time. */
  ended(status: Status, failed: boolean, own: boolean): void {
    const mark = this.#mark
    if (mark !== null && !own) return
    if (mark === null && this.#said === null && (this.#begun === null || status !== 'idle')) return
    const begun = mark === null ? this.#begun : mark[2]
    const undone = failed || this.#commit?.tag === 'ROLLBACK'
    this.#mark = null
    this.#commit = null
    if (status !== 'idle') this.#begun ??= mark?.[0] ?? stranger()
    else {
      if (!undone) this.#now = this.#kept
      else if (begun === null && mark !== null) [this.#now, this.#kept] = mark
      else this.#now = this.#kept = begun ?? stranger()
      if (undone && this.#altered) this.changed()
      this.#publish()
      this.#begun = null
      this.#savepoints = []
      this.#altered = false
    }
    if (this.#said !== null) this.#tell(this.#said, status)
    this.#said = null
  }

  /** Its transaction is about to end. True: names mean the same behind it, however it ends, so for them it is over. */
  leave(): boolean {
    const begun = this.#begun
    if (begun === null || this.#altered || this.#said !== null) return false
    if (this.#now !== begun || this.#kept !== begun) return false
    this.#begun = this.#mark = this.#commit = null
    this.#savepoints = []
    return true
  }

  /** The server says what a setting is now: at the end of the unit that changed it, or by itself. */
  report(name: string, value: string): void {
    const reads = readsBy(name)
    if (!reads && name !== 'search_path') return
    const said = (this.#said ??= { path: null, read: null })
    if (!reads) {
      said.path = pathSaid(value)
      return
    }
    const key = name.toLowerCase()
    const spelt = readValue(name, value)
    if (spelt !== undefined) (said.read ??= {})[key] = this.#began.get(key) === spelt ? null : spelt
  }

  /** The catalogue is another one than it was, or may be. */
  changed(): void {
    this.#since = nextMoment()
  }

  /** What the server says of a statement shows that somebody has changed the catalogue. */
  noticed(): void {
    this.changed()
    if (!this.apart) this.#version.noticed()
  }

  /** The session is gone: nobody knows whether it has committed. */
  close(): void {
    this.#publish()
  }

  /** Others may have parsed statements between a change of columns and its COMMIT. */
  #publish(): void {
    if (!this.#retyped) return
    this.#retyped = false
    this.#version.changed()
  }

  /** Nobody knows what it is now. */
  lose(): void {
    this.#now = this.#kept = stranger()
    if (this.#begun !== null) this.#begun = this.#now
    this.#savepoints = []
    this.changed()
  }

  /** @param more Tables that only this session saw may be gone, or nobody knows what else was undone. */
  reset(more: boolean): void {
    if (more || this.#altered) this.changed()
    if (more) this.#temporary = false
    this.#now = this.#kept = this.#base
    this.#begun = null
    this.#savepoints = []
    this.#altered = false
  }

  #tell(said: Said, status: Status): void {
    const { role, ...now } = this.#now
    const path = said.path ?? now.path
    const read = said.read === null ? now.read : withChanges(now.read, said.read)
    if (now.path === path && now.read === read) return
    const wasKept = this.#now === this.#kept || status === 'idle'
    this.#now = placeOf(path, role, read)
    if (wasKept) this.#kept = this.#now
  }

  #control(op: Op): void {
    const { verb, text } = op.stmt
    switch (verb) {
      case 'BEGIN':
      case 'START':
        this.#begun ??= this.#now
        break
      case 'COMMIT':
      case 'END':
        this.#commit = op
        break
      case 'SAVEPOINT':
        this.#savepoints.push({ name: savepointOf(text), now: this.#now, kept: this.#kept })
        break
      case 'RELEASE':
        this.#savepoints.splice(Math.max(0, this.#find(text)))
        break
      case 'ROLLBACK':
      case 'ABORT':
        this.#rollBack(text)
        break
      case 'PREPARE':
        this.lose()
        break
      default:
    }
  }

  #rollBack(text: string): void {
    if (this.#altered) this.changed()
    if (!/\bto\b/i.test(text)) {
      this.#now = this.#kept = this.#begun ?? this.#now
      this.#savepoints = []
      return
    }
    const at = this.#find(text)
    const savepoint = this.#savepoints[at]
    if (savepoint === undefined) return this.lose()
    this.#now = savepoint.now
    this.#kept = savepoint.kept
    this.#savepoints.splice(at + 1)
  }

  #find(text: string): number {
    const name = savepointOf(text)
    return this.#savepoints.findLastIndex((savepoint) => savepoint.name === name)
  }

  #move(stmt: Compiled, params: readonly unknown[], names: number): void {
    const change = pathChange(stmt, params)
    if (change === null) {
      const { path, role } = this.#now
      this.#now = this.#kept = (names & Names.path) === 0 ? placeOf(path, role, unknownRead) : stranger()
      return
    }
    const { local } = change
    const began = this.#rebased ? { path: strange(), role: strange() } : this.#base
    const path = change.path === null ? began.path : change.path
    const role = change.role === null ? began.role : change.role
    const moved = (from: Place): Place =>
      placeOf(path ?? from.path, role ?? from.role, withRead(from.read, change.read))
    if (!local) this.#kept = moved(this.#kept)
    this.#now = moved(this.#now)
  }
}

function withRead(before: Read, changes: ReadChanges | undefined): Read {
  return changes === undefined ? before : withChanges(before, changes)
}

/** The name in SAVEPOINT, RELEASE or ROLLBACK TO, folded; a text that says it in another way has none. */
function savepointOf(text: string): string {
  const found = /(?:"((?:[^"]|"")+)"|([\w$]+))\s*;?\s*$/.exec(text)
  return found?.[1]?.replaceAll('""', '"') ?? found?.[2]?.toLowerCase() ?? ''
}
