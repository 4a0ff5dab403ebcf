// When the columns of a database were last changed, as all sessions of one engine know it together. A prepared statement keeps the types
// that its parameters had when it was parsed, and the server does not say that a column has another one since: a value would be read as
// the old type and then converted. So what was parsed before is parsed again, on every session.
import { clock } from '../../util/clock.ts'

/** How long after a change that only showed itself no other is looked for: a session that sees other tables than its siblings shows one each time. */
const restMs = 1000

/** Counts changes of catalogues, of all sessions. */
let moments = 0

/** The moment of a change of a catalogue, or of a part of it that one session alone sees. */
export const nextMoment = (): number => ++moments

export class SchemaVersion {
  /** What was parsed before this moment is old. */
  at = 0
  #noticed = -Infinity

  /** A session changes columns, or has committed that. */
  changed(): void {
    this.at = nextMoment()
  }

  /** The server has refused a plan of before, or describes a statement in another way: somebody else has changed columns. */
  noticed(): void {
    const now = clock.now()
    if (now - this.#noticed < restMs) return
    this.#noticed = now
    this.changed()
  }
}

const versions = new WeakMap<object, SchemaVersion>()

/** One for all sessions of `owner`: the options of an engine, or a server in this process. */
export function schemaVersionOf(owner: object): SchemaVersion {
  let version = versions.get(owner)
  if (version === undefined) versions.set(owner, (version = new SchemaVersion()))
  return version
}
