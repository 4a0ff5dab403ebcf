/** How often the place where a transaction is begun may be taken. */

import { expect, test } from 'vitest'
import { PlaceBudget } from '../../src/observe/place.ts'

/** How many of these are taken: a transaction each millisecond from `from` on. */
function taken(budget: PlaceBudget, from: number, count: number): number {
  return Array.from({ length: count }, (_, n) => budget.take(from + n)).filter((may) => may).length
}

test('ten at once, then one every ten milliseconds', () => {
  const budget = new PlaceBudget()

  expect(taken(budget, 0, 10)).toBe(10)
  expect(taken(budget, 40, 1000)).toBeGreaterThanOrEqual(100)
  expect(taken(budget, 2000, 1000)).toBeLessThanOrEqual(111)
})

test('as rarely as they take long, but for one that took long by chance', () => {
  const budget = new PlaceBudget()
  taken(budget, 0, 60)

  for (const ms of [0.01, 5, 0.01]) budget.took(ms)
  expect(taken(budget, 100, 100)).toBeGreaterThanOrEqual(10)

  for (let n = 0; n < 2; n++) budget.took(0.5)
  taken(budget, 200, 100)
  expect(taken(budget, 300, 5120)).toBe(10)
})
