// Drizzle's placeholders, among the parameters of a query that is baked: each becomes one of ours, with what its column does
// to a value. The same structural reading serves 0.45 and 1.0.
import { Placeholder } from '../../../sql/baked/placeholder.ts'
import { isA } from '../rows.ts'

/** A value on its way to a column. */
interface Param {
  readonly value: unknown
  readonly encoder: { mapToDriverValue(value: unknown): unknown }
  /** 1.0 only. */
  readonly codec?: ((value: unknown) => unknown) | undefined
}

/** The parameters with placeholders of ours; `undefined` is NULL, as Drizzle has it. */
export function withPlaceholders(params: readonly unknown[]): unknown[] {
  return params.map((value) => {
    if (typeof value !== 'object' || value === null) return value ?? null
    if (isPlaceholder(value)) return new Placeholder(value.name)
    if (!isA(value, 'Param')) return value
    const { value: inner, encoder, codec } = value as Param
    if (typeof inner !== 'object' || inner === null || !isPlaceholder(inner)) return value
    return new Placeholder(inner.name, (given) => {
      const mapped = encoder.mapToDriverValue(given)
      return codec === undefined ? mapped : codec(mapped)
    })
  })
}

/** Drizzle's, or one of ours that it took for its own. */
function isPlaceholder(value: object): value is { readonly name: string } {
  return isA(value, 'Placeholder')
}
