// How the driver reads what a loader selects.
import { Column, is, SQL } from 'drizzle-orm'
import { type Decode, decodeOf } from '../../builder/drizzle/core/codec.ts'
import type { Expression } from './expressions.ts'

/** How the driver reads an expression: Drizzle's `mapWith` is honoured. */
export function decodeExpression(expression: Expression): Decode {
  const column = columnOf(expression)
  if (column !== null) return decodeOf(column)
  const decoder = decoderOf(expression)
  if (decoder === undefined) return { mode: 'default' }
  if (decoder === asTyped) return { mode: 'default', typed: true }
  return isNoop(decoder) ? { mode: 'default' } : { mode: 'default', map: (value) => decoder.mapFromDriverValue(value) }
}

/** The column as which it is read, if there is one. */
export function columnOf(expression: Expression): Column | null {
  if (is(expression, Column)) return expression
  const decoder: unknown = decoderOf(expression)
  return is(decoder, Column) ? decoder : null
}

/** For `mapWith`: the driver gives a `TypedText`. */
export const asTyped: Decoder = { mapFromDriverValue: (value) => value }

function decoderOf(expression: Expression): Decoder | undefined {
  const sql = is(expression, SQL.Aliased) ? expression.sql : expression
  return (sql as unknown as { readonly decoder?: Decoder }).decoder
}

interface Decoder {
  readonly mapFromDriverValue: ((value: unknown) => unknown) & { readonly isNoop?: boolean }
}

/** Drizzle 1.0 marks decoders that do nothing. */
function isNoop({ mapFromDriverValue }: Decoder): boolean {
  return mapFromDriverValue.isNoop === true
}
