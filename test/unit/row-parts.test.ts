/** Parts of a cursor that are asked for ahead: how many, and how long somebody waits for one. */

import { expect, test } from 'vitest'
import type { Failure } from '../../src/driver/driver.ts'
import type { EngineOp } from '../../src/engine/query/op.ts'
import { RowParts } from '../../src/engine/query/row-parts.ts'
import { ownRead } from '../../src/sql/compiled.ts'
import { clock } from '../../src/util/clock.ts'
import { caught } from '../support/caught.ts'

/** A part that was sent, as far as `RowParts` knows it. */
class Sent {
  readonly rows: number[] = []
  readonly held = 0
  readonly signal = null
  state = 1
  failure: Failure | null = null
  readonly maxRows: number
  readonly isAhead: boolean
  #settle: ((failure: Failure | null) => void)[] = []

  constructor(maxRows: number, isAhead: boolean) {
    this.maxRows = maxRows
    this.isAhead = isAhead
  }

  wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (failure: Failure | null): void => {
        if (failure === null) resolve()
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as operations do
        else reject(failure)
      }
      if (this.state === 3) settle(this.failure)
      else this.#settle.push(settle)
    })
  }

  abandon(failure: Failure): void {
    this.answer([], failure)
  }

  answer(rows: readonly number[], failure: Failure | null = null): void {
    this.rows.push(...rows)
    this.state = 3
    this.failure = failure
    for (const settle of this.#settle) settle(failure)
  }
}

function partsOf(): { readonly parts: RowParts; readonly sent: readonly Sent[] } {
  const sent: Sent[] = []
  const words = { declare: String, fetch: String, move: String, close: String }
  const parts = new RowParts('c', words, true, {
    sendPart(_stmt, _params, _portal, rows, isAhead) {
      const op = new Sent(rows, isAhead)
      sent.push(op)
      return op as unknown as EngineOp
    },
    inPieces: true,
    mayAskAhead: () => true,
    tagged: (text) => text,
    bound: (stmt) => stmt,
  })
  return { parts, sent }
}

function read(parts: RowParts, op: unknown, count: number, until: number = Infinity): Promise<readonly unknown[]> {
  return parts.read(op as EngineOp, { least: count, most: count, bytes: Infinity }, until)
}

async function first(parts: RowParts, sent: readonly Sent[], size: number): Promise<void> {
  parts.open(ownRead('select', 'SELECT'), [], size)
  sent[0]?.answer(Array.from({ length: size }, (_, at) => at))
  const op = parts.next(size)
  expect(await read(parts, op, size)).toHaveLength(size)
}

test('the time of a part begins when somebody waits for it, and ends that part alone', async () => {
  const { parts, sent } = partsOf()
  await first(parts, sent, 2)
  const waited = parts.next(2)
  expect(sent.map(({ isAhead }) => isAhead)).toEqual([false, ...Array<boolean>(sent.length - 1).fill(true)])
  expect(sent.length).toBeGreaterThan(2)

  const failure = (await caught(read(parts, waited, 2, clock.now()))) as unknown as Failure
  expect(failure.kind).toBe('timeout')
  expect(sent.map(({ state }) => state)).toEqual([3, 3, ...Array<number>(sent.length - 2).fill(1)])
})

test('parts are asked for several at once, when half of them are left, and more for those who read on', async () => {
  const { parts, sent } = partsOf()
  await first(parts, sent, 10)
  const counts: number[] = []
  for (let part = 1; part <= 100; part++) {
    const op = parts.next(10)
    counts.push(sent.length)
    ;(op as unknown as Sent).answer(Array.from({ length: 10 }, (_, at) => at))
    await read(parts, op, 10)
  }
  expect(counts.slice(0, 8)).toEqual([10, 10, 10, 10, 14, 14, 14, 14])
  const ahead = counts.map((count, at) => count - at - 2)
  expect([Math.max(...ahead.slice(0, 16)), Math.max(...ahead), Math.min(...ahead.slice(64))]).toEqual([14, 32, 17])
})

test.each([
  // 8,192 bytes are 25 rows of 330: a quarter of a list of 100.
  { size: 100, bytes: 330, ahead: [400, 400] },
  { size: 99, bytes: 330, ahead: Array<number>(8).fill(99) },
  { size: 1, bytes: 1_000_000, ahead: [1, 1] },
])('of lists of $size rows of $bytes bytes, $ahead are asked for ahead', async ({ size, bytes, ahead }) => {
  const { parts, sent } = partsOf()
  parts.bytes = size * bytes
  await first(parts, sent, size)
  parts.next(size)
  expect(sent.map(({ maxRows }) => maxRows)).toEqual([size, size, ...ahead])
})

test('so many rows are taken as are wanted, and a part that has more is read on', async () => {
  const { parts, sent } = partsOf()
  await first(parts, sent, 5)
  const op = parts.next(5) as unknown as Sent
  op.rows.push(1, 2, 3)
  expect(await read(parts, op, 2)).toEqual([1, 2])
  expect([parts.next(5) === (op as unknown as EngineOp), op.rows]).toEqual([true, [3]])
  op.answer([4, 5])
  expect([await read(parts, op, 5), op.rows]).toEqual([[3, 4, 5], []])
  expect(parts.next(5)).not.toBe(op)
})
