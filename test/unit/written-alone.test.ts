/** What is written behind a statement that waits for its answer, and in front of one that has to run once. */

import { expect, test } from 'vitest'
import type { Op } from '../../src/driver/driver.ts'
import type { Exchange } from '../../src/driver/postgres/exchange.ts'
import { namesMoved, standsFirst, standsLast } from '../../src/driver/postgres/op-rules.ts'
import { ExchangeQueue } from '../../src/driver/postgres/queue.ts'
import { classify } from '../../src/postgres/classify.ts'
import { type Compiled, Names } from '../../src/sql/compiled.ts'
import type { Reach } from '../../src/sql/functions.ts'

const plain: Reach = { stateful: [], triggered: [], asks: [], draws: false, plain: true, once: false, unknown: [] }
const ordinary: Reach = { ...plain, plain: false, once: true }
const unknown: Reach = { ...plain, unknown: ['f'] }
const stateful: Reach = { ...ordinary, stateful: ['f'] }

const op = (text: string, reach: Reach | null = null): Op =>
  ({ stmt: { ...classify(text), text, reach } as unknown as Compiled }) as Op

test.each<[string, Reach | null, boolean]>([
  ['select 1', null, false],
  ['select upper($1), current_timestamp(3)', null, false],
  ['insert into t values (1)', plain, false],
  ['insert into t values (1)', stateful, true],
  ['select n from v', stateful, true],
  ['select f($1)', null, true],
  ['select f($1)', ordinary, true],
  ['insert into t select f(n) from s', ordinary, true],
  ['select f($1)', plain, false],
  ['select f($1)', unknown, true],
  ["select set_config('search_path', $1, true)", null, true],
])('behind %s, judged as %o, nothing is written: %s', (text, reach, last) => {
  expect(standsLast(op(text, reach))).toBe(last)
})

test.each<[string, Reach | null, number]>([
  ['select 1', null, 0],
  ['select f($1)', null, Names.catalogue],
  ['select f($1)', stateful, Names.catalogue],
  ['select f($1)', ordinary, 0],
  ['select f($1)', plain, 0],
  ['select f($1)', unknown, Names.catalogue],
  ['insert into t values (1)', stateful, 0],
])('%s, judged as %o, may be DDL: %i', (text, reach, names) => {
  const { stmt } = op(text, reach)
  expect([namesMoved(stmt, true, true), namesMoved(stmt, true, false)]).toEqual([names, names])
  // Outside of a transaction it is only of what the functions of the database are known to do, …
  expect(namesMoved(stmt, false, true)).toBe(reach === null ? 0 : names)
  // … and behind a pooler nothing is left.
  expect(namesMoved(stmt, false, false)).toBe(0)
})

test('a call that is not known to change nothing waits for what is in front of it, where no transaction is open', () => {
  const unit = (...ops: Op[]): Exchange => ({ ops, synced: true, steps: [] }) as unknown as Exchange
  const [read, call, harmless] = [unit(op('select 1')), unit(op('select f()')), unit(op('select f()', plain))]
  const next = (last: Exchange, status: 'idle' | 'tx'): Exchange | null => {
    const queue = new ExchangeQueue({ leave: () => true })
    queue.add(read)
    expect(queue.next(status)).toBe(read)
    queue.sent()
    queue.add(last)
    return queue.next(status)
  }

  expect(standsFirst(op('select f()'))).toBe(true)
  expect([next(call, 'idle'), next(call, 'tx'), next(harmless, 'idle')]).toEqual([null, call, harmless])
})
