// Quantiles: which value stands at a part of the sorted ones; between two of them, what lies between.

/** `part` from 0 to 1; NaN of no numbers. */
export function quantile(numbers: readonly number[], part: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * part
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN]
  return below + (above - below) * (at - Math.floor(at))
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

/** The middle of some ratios, and their quartiles. */
export interface Spread {
  readonly low: number
  readonly middle: number
  readonly high: number
}

export function spread(ratios: readonly number[]): Spread {
  return { low: quantile(ratios, 0.25), middle: quantile(ratios, 0.5), high: quantile(ratios, 0.75) }
}

/** `1.02 (0.98–1.05)`: the median, and in brackets the quartiles. */
export function shown({ low, middle, high }: Spread): string {
  return `${middle.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`
}
