// Whether the condition of a query is equality of one column with a value, and nothing else. It is read from what it is made of: nothing
// is written for it.
import type { Column } from 'drizzle-orm'
import { type Chunk, chunkText, kindOf } from '../../../builder/drizzle/core/kinds.ts'
import { Placeholder } from '../../../sql/baked.ts'
import { hasMethod } from '../../../sql/statement.ts'
import { qualifierOf } from '../../load/source.ts'
import { type Condition, Equalities, Equality } from './condition.ts'

/** Whether the condition is equality of this column with a value. */
export function isEqualKey([condition, more]: readonly Condition[], key: Column): boolean {
  if (condition === undefined || more !== undefined) return false
  if (!(condition instanceof Equalities)) return isEquality(condition, key)
  const [member, other] = condition.members
  if (member === undefined || other !== undefined) return false
  return member instanceof Equality ? member.shape !== undefined && member.column === key : isEquality(member, key)
}

/** As Drizzle's `eq()` writes it. */
function isEquality(condition: unknown, key: Column): boolean {
  if (kindOf(condition) !== 'SQL') return false
  const { queryChunks, shouldInlineParams } = condition as Chunk
  if (shouldInlineParams === true) return false
  const parts = queryChunks.filter((chunk) => textOf(chunk) !== '')
  const [column, sign, value, more] = parts
  if (parts.length === 1) return isEquality(column, key)
  return more === undefined && isColumn(column, key) && textOf(sign)?.trim() === '=' && isValue(value)
}

function textOf(chunk: unknown): string | undefined {
  return kindOf(chunk) === 'StringChunk' ? chunkText(chunk as Chunk) : undefined
}

function isColumn(chunk: unknown, key: Column): boolean {
  if (kindOf(chunk) !== 'Column') return false
  const { name } = chunk as Column
  return chunk === key || (name === key.name && qualifierOf(chunk as Column) === qualifierOf(key))
}

function isValue(chunk: unknown): boolean {
  if (kindOf(chunk) === 'Param') {
    const { value, encoder } = chunk as Chunk
    // A type of the user's may write SQL.
    return isData(value) && encoder.columnType?.endsWith('CustomColumn') !== true
  }
  return isData(chunk)
}

/** A value, or that of a call to come. */
function isData(chunk: unknown): boolean {
  if (chunk instanceof Placeholder) return true
  if (kindOf(chunk) !== 'data' || Array.isArray(chunk) || typeof chunk === 'function') return false
  return !(typeof chunk === 'object' && chunk !== null && hasMethod(chunk, 'getSQL'))
}
