// Statements that are prepared by name behind a transaction pooler. The pooler keeps them for each of its clients and parses them again
// in whichever session of the server answers. It knows statements by their texts and declared types, so these decide the names here.
import { type Compiled, ownRead } from '../../../sql/compiled.ts'

/** A statement as the pooler knows it. */
export interface PooledName {
  readonly name: string
  /** As it is sent. */
  readonly text: string
  /** The types that its parameters are declared to have; null: the server finds them. */
  readonly declared: readonly number[] | null
  readonly edition: number
}

/** What is known of the pooler in front of one server. Shared by all sessions of an engine. */
export class Pooler {
  /** It keeps statements for its clients, as far as is known. */
  keeps = true
  /** How often a text has become another because what the pooler had under the one before was stale. */
  readonly #editions = new WeakMap<Compiled, number>()

  /** What the types of parameters were when the server refused what was given for them. */
  readonly #doubted = new WeakMap<Compiled, readonly number[]>()

  name(stmt: Compiled, declared: readonly number[] | null): PooledName {
    const were = this.#doubted.get(stmt)
    if (were !== undefined) {
      this.#doubted.delete(stmt)
      if (stmt.shape?.params.join() !== were.join()) this.renew(stmt, this.#editionOf(stmt), null)
    }
    const edition = this.#editionOf(stmt)
    const text = stmt.text + mark(edition)
    return { name: nameOf(text, declared), text, declared, edition }
  }

  /**
   * What the pooler has for the text is stale, and it has nothing else for it: the next one has another text.
   * @param params Not surely: only if the types of its parameters are not these any more.
   */
  renew(stmt: Compiled, edition: number, params: readonly number[] | null): void {
    if (this.#editionOf(stmt) !== edition) return
    if (params === null) this.#editions.set(stmt, edition + 1)
    else this.#doubted.set(stmt, params)
  }

  #editionOf(stmt: Compiled): number {
    return this.#editions.get(stmt) ?? 0
  }
}

const poolers = new WeakMap<object, Pooler>()

/** The one of the options of an engine; null: statements are not prepared through any. */
export function poolerOf(options: { readonly pooledNames?: true | undefined }): Pooler | null {
  if (options.pooledNames !== true) return null
  let pooler = poolers.get(options)
  if (pooler === undefined) poolers.set(options, (pooler = new Pooler()))
  return pooler
}

/** White space that means nothing, another for each number. */
function mark(edition: number): string {
  return edition === 0 ? '' : edition.toString(2).replaceAll('0', ' ').replaceAll('1', '\n')
}

/** No two statements have the same: one that a pooler hands to another client is the one that client means. */
function nameOf(text: string, declared: readonly number[] | null): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  const hash = createHash('sha256').update(`${declared === null ? '' : declared.join()}\0${text}`)
  return `genever_${hash.digest('base64url').slice(0, 32)}`
}

/** Asked by name for its own name: only where the pooler gives it another one it is not there. The other one is there too. */
export const probe: Compiled = ownRead(
  'select name from pg_catalog.pg_prepared_statements where name = $1::pg_catalog.text or statement = pg_catalog.current_query()',
  'SELECT',
)

let nameOfProbe = ''

export function probeName(): string {
  return (nameOfProbe ||= nameOf(probe.text, null))
}

/** The names that PgBouncer gives, which keeps statements from version 1.21 on. */
export const ofPgBouncer: RegExp = /^PGBOUNCER_\d+$/
