/** When a transaction is over for names before its COMMIT was answered: where they mean the same in front of it and behind it. */

import { expect, test } from 'vitest'
import type { Op } from '../../src/driver/driver.ts'
import { NameResolution } from '../../src/driver/postgres/name-resolution.ts'
import { namesMoved } from '../../src/driver/postgres/op-rules.ts'
import { classify } from '../../src/postgres/classify.ts'
import type { Compiled } from '../../src/sql/compiled.ts'

/** After these: each was answered but the COMMIT behind them. */
function committing(...texts: readonly string[]): NameResolution {
  const names = new NameResolution()
  for (const text of ['begin', ...texts, 'commit']) {
    const op = { stmt: { ...classify(text), text } as unknown as Compiled, params: [], tag: '' } as unknown as Op
    const moved = namesMoved(op.stmt, names.inside, true)
    if (moved !== 0) names.send(op, moved)
    if (text !== 'commit') names.ended('tx', false, moved !== 0)
  }
  return names
}

test.each([
  ['reads', ['select 1'], true],
  ['a savepoint that is kept', ['savepoint a', 'release a'], true],
  ['another search_path for the transaction', ['set local search_path to apart'], false],
  ['another search_path for the session', ['set search_path to apart'], false],
  ['another role', ['set local role other'], false],
  ['a table', ['create table t (n int)'], false],
])('behind a transaction of %s', (_, texts, same) => {
  const names = committing(...texts)
  const meaning = names.id

  expect(names.leave()).toBe(same)
  expect(names.inside).toBe(!same)
  if (same) names.ended('idle', false, false)
  expect([names.id, names.inside]).toEqual([meaning, !same])
})

test('without a transaction there is none to leave', () => {
  expect(new NameResolution().leave()).toBe(false)
})
