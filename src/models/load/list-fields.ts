// How the fields of a list travel: in the binary form of their type where that is cheaper and says as much as its text, else
// as the text that a cast makes. What type a field really has the server says beside the list.
import { Column, is } from 'drizzle-orm'
import type { ColumnSpec, ListField, ListSpec } from '../../sql/compiled.ts'
import { decodeOf } from '../../builder/drizzle/core/codec.ts'
import type { Expression } from '../meta/expressions.ts'
import { decodeExpression } from '../meta/decode.ts'
import type { Level } from './level.ts'

const integers = /^(smallint|integer|bigint|smallserial|serial|bigserial)$/
const modesOf: readonly (readonly [RegExp, readonly ColumnSpec['mode'][]])[] = [
  [integers, ['number', 'bigint', 'string', 'default']],
  [/^double precision$/, ['number', 'default']],
  [/^boolean$/, ['default']],
  [/^bytea$/, ['buffer', 'default']],
  [/^timestamp/, ['date', 'default']],
]

/** Whether a field of a list is read in binary. */
export function isBinary(expression: Expression): boolean {
  if (!is(expression, Column)) return false
  const type = expression.getSQLType()
  const { mode } = decodeOf(expression)
  return modesOf.some(([of, modes]) => of.test(type) && modes.includes(mode))
}

/** Counts the columns of the statement that have types. */
export interface Counter {
  next: number
}

/** The specification of the lists of a level, whose types come level by level. */
export function listSpecs(level: Level, counter: Counter): ListSpec[] {
  return level.lists.map(({ level: of }) => {
    const start = counter.next
    counter.next += of.items.length
    const fields: ListField[] = of.items.map((expression, at) => ({
      ...decodeExpression(expression),
      type: start + at,
      asText: !isBinary(expression),
      list: null,
    }))
    for (const list of listSpecs(of, counter)) fields.push({ mode: 'default', type: -1, asText: false, list })
    return { fields }
  })
}
