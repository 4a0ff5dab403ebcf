// Whether the conditions of a query are on one column alone and call nothing, so that each time they find the same rows. It is read from
// what they are made of: nothing is written for it.
import type { Column } from 'drizzle-orm'
import { type Chunk, chunkText, kindOf } from '../../../builder/drizzle/core/kinds.ts'
import { hasMethod } from '../../../sql/statement.ts'
import { qualifierOf } from '../../load/source.ts'
import { type Condition, Equalities, Equality } from './condition.ts'

/** The words and signs of a condition that says the same each time, and calls nothing. */
const plainText = /^(?:\s|\b\d+\b|[(),]|[=<>]|\b(?:and|or|not|is|null|in|any|between|true|false|distinct|from)\b)*$/i
const known = new Map<string, boolean>()

function isPlain(text: string): boolean {
  let plain = known.get(text)
  if (plain === undefined) {
    if (known.size >= 1000) known.clear()
    plain = plainText.test(text)
    known.set(text, plain)
  }
  return plain
}

/** Whether conditions are on this column alone, and call nothing. No condition is. */
export function isOfKey(conditions: readonly Condition[], key: Column): boolean {
  return conditions.every((condition) =>
    condition instanceof Equalities
      ? condition.members.every((member) => (member instanceof Equality ? isOwn(member, key) : isOfColumn(member, key)))
      : isOfColumn(condition, key),
  )
}

/** Whether the condition is equality of this column with a value. */
export function isEqualKey([condition, more]: readonly Condition[], key: Column): boolean {
  if (condition === undefined || more !== undefined) return false
  if (!(condition instanceof Equalities)) return isEquality(condition, key)
  const [member, other] = condition.members
  if (member === undefined || other !== undefined) return false
  return member instanceof Equality ? isOwn(member, key) : isEquality(member, key)
}

function isOwn(member: Equality, key: Column): boolean {
  return member.shape !== undefined && member.column === key
}

/** As Drizzle's `eq()` writes it. */
function isEquality(condition: unknown, key: Column): boolean {
  if (kindOf(condition) !== 'SQL' || !isOfColumn(condition, key)) return false
  const parts = (condition as Chunk).queryChunks.filter((chunk) => textOf(chunk) !== '')
  const [column, sign, value, more] = parts
  if (parts.length === 1) return isEquality(column, key)
  return (
    more === undefined &&
    kindOf(column) === 'Column' &&
    textOf(sign)?.trim() === '=' &&
    (kindOf(value) === 'Param' || (kindOf(value) === 'data' && !Array.isArray(value)))
  )
}

function textOf(chunk: unknown): string | undefined {
  return kindOf(chunk) === 'StringChunk' ? chunkText(chunk as Chunk) : undefined
}

function isOfColumn(chunk: unknown, key: Column): boolean {
  if (Array.isArray(chunk)) return chunk.every((each) => isOfColumn(each, key))
  if (chunk === undefined) return true
  switch (kindOf(chunk)) {
    case 'StringChunk':
      return isPlain(chunkText(chunk as Chunk))
    case 'SQL': {
      const { queryChunks, shouldInlineParams } = chunk as Chunk
      return shouldInlineParams !== true && queryChunks.every((each) => isOfColumn(each, key))
    }
    case 'Column':
      return chunk === key || isSame(chunk as Column, key)
    case 'Param': {
      const { value, encoder } = chunk as Chunk
      // A type of the user's may write SQL.
      return kindOf(value) === 'data' && encoder.columnType?.endsWith('CustomColumn') !== true
    }
    case 'data':
      return typeof chunk !== 'function' && !(typeof chunk === 'object' && chunk !== null && hasMethod(chunk, 'getSQL'))
    case 'Name':
    case 'Table':
    case 'other':
      return false
  }
}

function isSame(column: Column, key: Column): boolean {
  return column.name === key.name && qualifierOf(column) === qualifierOf(key)
}
