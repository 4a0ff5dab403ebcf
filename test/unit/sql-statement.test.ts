/** A query is recognised by symbol, adapter or structure, and never because some data looks like one. */

import { afterEach, expect, expectTypeOf, test, vi } from 'vitest'
import { UsageError } from '../../src/errors/index.ts'
import {
  adapt,
  embed,
  isQuery,
  registerAdapter,
  toStatement,
  type Query,
  type Statement,
} from '../../src/sql/statement.ts'
import { postgres, sql } from '../../src/postgres/dialect.ts'

class Foreign {
  readonly made = 'select 1'
  toSQL(): object {
    return {}
  }
}

const refusalOf = (query: unknown): string => {
  try {
    adapt(query)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as UsageError).message
  }
  return ''
}

afterEach(() => {
  registerAdapter({ name: 'test', match: () => false, toStatement: () => ({ sql: '', params: [] }) })
})

test('our own queries give their statement through the symbol', () => {
  const query = { [toStatement]: (): Statement<{ a: number }> => ({ sql: 'select 1', params: [], maxRows: 0 }) }

  expect(adapt(query)).toEqual({ sql: 'select 1', params: [], maxRows: 0 })
  expect(adapt(sql`select ${1}`)).toEqual({ sql: 'select $1', params: [1] })
  expectTypeOf(adapt(query)).toEqualTypeOf<Statement<{ a: number }>>()
})

test('a class with a static method is a query too, and so is one of another copy of the package', () => {
  class Model {
    static [Symbol.for('genever.toStatement')](): Statement {
      return { sql: 'table t', params: [] }
    }
  }

  expect(isQuery(Model)).toBe(true)
  expect(adapt(Model as unknown as Query<unknown>).sql).toBe('table t')
})

test('an adapter serves what it matches, and registering its name again replaces it', () => {
  const adapter = (sqlText: string) => ({
    name: 'test',
    match: (query: object) => query instanceof Foreign,
    toStatement: (): Statement => ({ sql: sqlText, params: [] }),
  })
  registerAdapter(adapter('one'))
  registerAdapter(adapter('two'))

  expect(adapt(new Foreign() as unknown as Query<unknown>).sql).toBe('two')
})

test.each([
  [{ sql: 'select 1', params: [] }],
  [JSON.parse('{"sql": "drop table t", "raw": true, "queryChunks": []}')],
  [JSON.parse('{"Symbol(genever.toStatement)": 1, "@@toStatement": {}}')],
  [[new Foreign()]],
  [Object.create(null)],
])('plain data is no query and reaches no adapter: %j', (data) => {
  const asked: object[] = []
  registerAdapter({
    name: 'test',
    match: (query) => asked.push(query) > 0,
    toStatement: () => ({ sql: 'stolen', params: [] }),
    compileEmbedded: (query) => (asked.push(query) > 0 ? { sql: 'stolen', params: [] } : undefined),
  })

  expect(refusalOf(data)).toMatch(/^A query was expected/)
  expect(embed(data, postgres)).toBeUndefined()
  expect(asked).toEqual([])
})

class Table {}
Object.defineProperty(Table, Symbol.for('drizzle:entityKind'), { value: 'PgTable' })
class Select {
  compile(): void {}
  execute(): void {}
}

test.each([
  [new Foreign(), `import 'genever/drizzle'`],
  [new Table(), `import 'genever/drizzle'`],
  [new Select(), `import 'genever/kysely'`],
])('a builder whose subpath was not imported is named with the import', (query, advice) => {
  expect(refusalOf(query)).toContain(advice)
  expect(refusalOf(query)).toContain(query.constructor.name)
})

test('once its subpath is imported, what a builder cannot give is told differently', async () => {
  vi.resetModules()
  const copy = await import('../../src/sql/statement.ts')
  copy.registerAdapter({ name: 'kysely', match: () => false, toStatement: () => ({ sql: '', params: [] }) })

  expect(() => copy.adapt(new Select() as unknown)).toThrow(/cannot be used here\.$/)
})

test.each<[unknown, string]>([
  [undefined, 'undefined'],
  [null, 'null'],
  [42, 'a number'],
  [Symbol('canary'), 'a symbol'],
  [() => 'canary', 'a function'],
  [['canary'], 'an array'],
  [{ canary: 'canary' }, 'an object'],
  [new Map([['canary', 1]]), 'an object of class Map'],
  [new Date(0), 'an object of class Date'],
])('what is no query is named by its type only: %o', (query, given) => {
  expect(refusalOf(query).endsWith(`, not ${given}.`)).toBe(true)
  expect(refusalOf(query)).not.toContain('canary')
})
