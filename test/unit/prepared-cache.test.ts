/** Which names statements are sent under once columns have other types: a pooler keeps a plan for each text, whoever asks for it. */

import { expect, test, vi } from 'vitest'
import type { Op } from '../../src/driver/driver.ts'
import { NameResolution } from '../../src/driver/postgres/name-resolution.ts'
import { Pooler } from '../../src/driver/postgres/prepared/pooler.ts'
import { PreparedCache } from '../../src/driver/postgres/prepared/prepared-cache.ts'
import { SchemaVersion } from '../../src/driver/postgres/schema-version.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { TypeBook } from '../../src/postgres/types/book.ts'
import { Names } from '../../src/sql/compiled.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { clock } from '../../src/util/clock.ts'

const statements = new StatementCache({ dialect: postgres, prepare: true })
const opOf = (text: string): Op =>
  ({ stmt: statements.compile(text).compiled, params: [], maxRows: 0, spec: null, tag: '' }) as unknown as Op

/** A session that shares a pooler, and what is known of the schema, with others. */
class Planner {
  readonly names: NameResolution
  readonly #cache: PreparedCache

  constructor(version: SchemaVersion, pooler: Pooler | null) {
    this.names = new NameResolution(version)
    this.#cache = new PreparedCache({ statementCacheSize: 10, pooler }, this.names)
  }

  /** The name that the statement is sent under, and whether it is parsed. */
  send(text: string): readonly [name: string | undefined, parse: boolean] {
    const op = opOf(text)
    const [step] = this.#cache.plan([op], { prefix: 'c1_', types: new TypeBook(), carrier: null }, 0)
    this.names.ended('idle', false, step?.names !== 0)
    return [step?.entry?.name, step?.parse === true]
  }
}

const read = 'select n from t'

test('behind a pooler every session of the engine sends a text that it has no plan for, and all the same one', () => {
  const [version, pooler] = [new SchemaVersion(), new Pooler()]
  const [one, two] = [new Planner(version, pooler), new Planner(version, pooler)]
  const [before] = one.send(read)
  expect([one.send(read), two.send(read), two.send(read)]).toEqual([
    [before, false],
    [before, true],
    [before, false],
  ])

  two.send('alter table t alter n type text')

  const [after] = two.send(read)
  expect(after).not.toBe(before)
  expect([one.send(read), one.send(read), two.send(read)]).toEqual([
    [after, true],
    [after, false],
    [after, false],
  ])
})

test.each([null, new Pooler()])(
  'what is left of a change when its session is lost counts as committed (%o)',
  (pooler) => {
    const version = new SchemaVersion()
    const [one, two] = [new Planner(version, pooler), new Planner(version, pooler)]
    two.names.send(opOf('begin'), Names.transaction)
    two.names.send(opOf('alter table t alter n type text'), Names.catalogue | Names.columns)
    one.send(read)
    expect(one.send(read)[1]).toBe(false)

    two.names.close()

    expect(one.send(read)[1]).toBe(true)
  },
)

test('a session that sees other tables than its siblings has theirs parsed anew once a second at most', () => {
  const version = new SchemaVersion()
  const [one, two] = [new Planner(version, null), new Planner(version, null)]
  const now = vi.spyOn(clock, 'now').mockReturnValue(10_000)
  const parsed = (at: number): boolean => {
    now.mockReturnValue(at)
    one.send(read)
    two.names.noticed()
    return one.send(read)[1]
  }
  try {
    expect([10_000, 10_001, 10_999, 11_000, 11_001].map(parsed)).toEqual([true, false, false, true, false])
    two.send('create temp table t (n text)')
    expect(parsed(20_000)).toBe(false)
  } finally {
    now.mockRestore()
  }
})
