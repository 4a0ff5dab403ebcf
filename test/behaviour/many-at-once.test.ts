/** Statements that are issued together, many and large: each arrives whole, and what they cost is not theirs alone. */

import { createHook } from 'node:async_hooks'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('texts of every length that are issued together come back as they were sent', async () => {
    const db = await driver.db()
    const lengths = Array.from({ length: 120 }, (_, n) => [0, 1, n, 8_191 + n, 16_384 - n, 65_536 + n, 200_000][n % 7]!)
    // Each text differs from all others in its first and last characters, and is told apart by its length too.
    const texts = lengths.map((length, n) => `${n}:${'é'.repeat(length)}:${n}`)

    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(texts.map((text) => db.scalar<string>(driver.words.text, [text])))

      expect(answers.findIndex((answer, n) => answer !== texts[n])).toBe(-1)
    }
    await db.transaction(async (tx) => {
      const answers = await Promise.all(texts.map((text) => tx.scalar<string>(driver.words.text, [text])))

      expect(answers.findIndex((answer, n) => answer !== texts[n])).toBe(-1)
    })
  })

  test('a thousand time limits need no timer each', async () => {
    const db = await driver.db()
    const limit = { timeoutMs: 60_000 }
    await db.scalar(driver.words.integer, [0], limit)
    let timers = 0
    const hook = createHook({
      init(_, type) {
        if (type === 'Timeout') timers++
      },
    })

    hook.enable()
    const answers = Array.from({ length: 1_000 }, (_, n) => db.scalar<number>(driver.words.integer, [n], limit))
    hook.disable()

    // Those of connections that are being opened for them.
    expect(timers).toBeLessThan(50)
    expect(await Promise.all(answers)).toEqual(answers.map((_, n) => n))
  })

  test.runIf(driver.name === 'socket' || driver.name === 'pg')(
    'tens of thousands in one transaction take time in proportion to their number',
    async () => {
      const db = await driver.db()
      await db.transaction((tx) => tx.scalar(driver.words.integer, [0]))
      const before = process.cpuUsage()

      const answers = await db.transaction((tx) =>
        Promise.all(Array.from({ length: 40_000 }, (_, n) => tx.scalar<number>(driver.words.integer, [n]))),
      )
      const { rowCount } = await db.executeMany(
        driver.words.integer,
        answers.map((n) => [n]),
      )

      expect(answers.findIndex((answer, n) => answer !== n)).toBe(-1)
      expect(rowCount).toBe(40_000)
      expect(process.cpuUsage(before).user).toBeLessThan(6_000_000)
    },
  )
})
