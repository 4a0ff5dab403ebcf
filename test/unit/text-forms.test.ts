import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { arrayText, plainText, readArray, readTimestamp, timestampText } from '../../src/postgres/text-forms.ts'

const first = new Date('0001-01-01T00:00:00Z')
const last = new Date('9999-12-31T23:59:59.999Z')

test('a date of four digits is written as in ISO 8601, whatever was written before', () => {
  fc.assert(
    fc.property(fc.array(fc.date({ min: first, max: last, noInvalidDate: true }), { minLength: 1 }), (dates) => {
      for (const date of [...dates, ...dates.map((each) => new Date(each.getTime() + 1))].filter(
        (each) => each <= last,
      ))
        expect(timestampText(date)).toBe(date.toISOString())
    }),
  )
  for (const date of [first, last, new Date(0), new Date(-1)]) expect(timestampText(date)).toBe(date.toISOString())
})

test('every other valid date is written so that it is read as the same', () => {
  expect(timestampText(new Date(NaN))).toBeUndefined()
  for (const time of [first.getTime() - 1, last.getTime() + 1, -8.64e15, 8.64e15]) {
    const text = timestampText(new Date(time))!.replace('T', ' ').replace('Z', '+00')
    expect((readTimestamp(text) as Date).getTime()).toBe(time)
  }
})

test('an array of quoted elements is read in time in proportion to its length, wherever its backslashes are', () => {
  const plain = Array.from({ length: 200_000 }, (_, i) => `no ${i}`)
  const before = process.cpuUsage()
  for (const list of [plain, ['a "b"', ...plain], [...plain, 'a\\b'], plain.map((each) => [each])])
    expect(JSON.stringify(readArray(arrayText(list, plainText), (each) => each, ',')) === JSON.stringify(list)).toBe(
      true,
    )

  expect(process.cpuUsage(before).user).toBeLessThan(4_000_000)
})
