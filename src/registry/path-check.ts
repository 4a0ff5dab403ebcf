// Whether the schemas of a path are there, asked at its first use by a role of an engine: PostgreSQL passes over what is missing,
// and would read and write what comes behind it.
import type { Db } from '../db/db.ts'
import { currentChain, openTransaction } from '../engine/context/chain.ts'
import type { Engine } from '../engine/engine.ts'
import { SchemaNotFoundError, UsageError } from '../errors/index.ts'
import { pathQuestion } from '../postgres/schema-path.ts'
import { unconverted } from '../sql/conversions.ts'

interface Finding {
  readonly what: 'missing' | 'forbidden' | 'extension'
  readonly schema: string
  readonly extension: string | null
}

/** Paths that are remembered of one engine: a path that was forgotten is asked for again. */
const mostRemembered = 10_000

/** What was found to be there; in a transaction for as long as that is open, since it may have made it. */
const found = new WeakMap<object, Set<string>>()

/**
 * Null when it was found before.
 * @throws {SchemaNotFoundError} when one is missing, or the role may not use it.
 * @throws {UsageError} when types or operators of an extension are not on the path.
 */
export function checkPath(db: Db, engine: Engine, schemas: readonly string[]): Promise<void> | null {
  if (engine.dialect.name !== 'postgres')
    throw new UsageError(`Schemas of tenants need PostgreSQL, and this database is ${engine.dialect.title}.`)
  const key = keyOf(db, schemas)
  const chain = currentChain()
  const transaction = chain === undefined ? null : openTransaction(engine, chain)
  if (found.get(engine)?.has(key) === true || (transaction !== null && found.get(transaction)?.has(key) === true))
    return null
  return ask(db, transaction ?? engine, schemas, key)
}

/** It was dropped: whoever uses it next asks again. */
export function forgetPaths(engine: Engine): void {
  found.delete(engine)
}

function keyOf(db: Db, schemas: readonly string[]): string {
  return JSON.stringify([db.settingsHere()?.['role'] ?? null, ...schemas])
}

async function ask(db: Db, owner: object, schemas: readonly string[], key: string): Promise<void> {
  const findings = await db.all<Finding>(pathQuestion, [schemas], unconverted)
  const [first] = findings
  if (first !== undefined) throw problemOf(first, findings)
  let known = found.get(owner)
  if (known === undefined) found.set(owner, (known = new Set()))
  if (known.size >= mostRemembered) known.clear()
  known.add(key)
}

function problemOf({ what, schema }: Finding, findings: readonly Finding[]): UsageError {
  const name = JSON.stringify(schema)
  if (what === 'missing')
    return new SchemaNotFoundError(
      `The schema ${name} does not exist. PostgreSQL would pass over it and use what comes behind it in the search path. Make it ` +
        'with createSchema(), or correct its name.',
    )
  if (what === 'forbidden')
    return new SchemaNotFoundError(
      `The role may not use the schema ${name}. PostgreSQL would pass over it and use what comes behind it in the search path. ` +
        `Grant it: GRANT USAGE ON SCHEMA ${schema} TO ….`,
    )
  const extensions = findings.map((each) => `${each.extension} (in ${JSON.stringify(each.schema)})`).join(', ')
  return new UsageError(
    `The types and operators of these extensions are not on the search path, so comparisons would mean something else: ${extensions}. ` +
      'Name their schema in shared, such as shared: ["extensions"]; ALTER EXTENSION … SET SCHEMA moves one out of "public".',
  )
}
