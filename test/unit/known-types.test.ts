/** Types of a database, as an engine knows them while its catalogue changes. */

import { structured } from 'genever/types'
import { expect, test } from 'vitest'
import { TypeBook, type TypeRow } from '../../src/postgres/types/book.ts'
import { converterOf } from '../../src/postgres/types/converter.ts'
import { Conversions } from '../../src/sql/conversions.ts'

const row = { schema: 'public', extension: '', base: 0, element: 0, delimiter: ',', range: 0, fields: [], types: [] }
const positive: TypeRow = { ...row, oid: 20_001, name: 'positive', kind: 'd', base: 23 }
const pair: TypeRow = { ...row, oid: 20_002, name: 'pair', kind: 'c', fields: ['a', 'b'], types: [positive.oid, 25] }
const conversions = Conversions.of(structured)

test('rows go on being read as they were begun when another session changes the catalogue', () => {
  const book = new TypeBook()
  book.learn([positive, pair], [pair.oid])
  const read = converterOf(book, conversions).reader(pair.oid)
  book.forget()

  expect(read?.('(5,x)')).toEqual({ a: 5, b: 'x' })
  expect(converterOf(book, conversions).unknown([pair.oid])).toEqual([pair.oid])
})
