/** Lines of those who wait: their order, whoever leaves, also while somebody goes through them. */

import { describe, expect, test } from 'vitest'
import { Line, Roll, type Standing } from '../../src/util/line.ts'
import { unwatchSignal, watchSignal } from '../../src/util/signal.ts'
import { fc } from '../support/fast-check.ts'

test('a line has those who have not left, in the order they came', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 20 })), (moves) => {
      const line = new Line<number>()
      const places: Standing<number>[] = []
      let model: number[] = []
      for (const [nth, move] of moves.entries()) {
        const leaves = places[move]
        if (leaves === undefined) {
          places.push(line.add(nth))
          model.push(nth)
        } else {
          expect(line.remove(leaves)).toBe(model.includes(leaves.of))
          model = model.filter((each) => each !== leaves.of)
        }
        expect([[...line], line.size, line.first, line.at(1)]).toEqual([model, model.length, model[0], model[1]])
      }
    }),
  )
})

test('a place that was left leads to nobody', () => {
  const line = new Line<string>()
  const [, second] = ['first', 'second', 'third'].map((each) => line.add(each))
  line.remove(second as Standing<string>)

  expect(second).toMatchObject({ line: null, before: null, after: null })
})

describe.each<[string, (at: number) => number[]]>([
  ['the one that it has', (at) => [at]],
  ['the next one', (at) => [at + 1]],
  ['the next two', (at) => [at + 1, at + 2]],
  ['those before', (at) => [at - 1, at]],
  ['all', () => [0, 1, 2, 3, 4]],
])('where somebody goes through a roll and %s is deleted', (_, deleted) => {
  test.each([0, 1, 2, 3, 4])('at number %i, a loop gives what a Set gives', (at) => {
    const gone = (roll: Roll<object> | Set<object>, all: readonly object[]): number[] => {
      for (const each of all) roll.add(each)
      const given: number[] = []
      for (const each of roll) {
        given.push(all.indexOf(each))
        if (given.length === at + 1) for (const nth of deleted(at)) roll.delete(all[nth] as object)
      }
      return given
    }
    const objects = Array.from({ length: 5 }, () => ({}))

    expect(gone(new Roll(), objects)).toEqual(gone(new Set(), objects))
  })
})

test('a signal reaches all that it can still stop, also where one of them takes another along', () => {
  const controller = new AbortController()
  const { signal } = controller
  const told: string[] = []
  const watching = (name: string, ends: () => void = () => {}): { abort(): void } => ({
    abort() {
      told.push(name)
      ends()
    },
  })
  const second = watching('second')
  const all = [watching('first', () => unwatchSignal(signal, second)), second, watching('third'), watching('fourth')]
  for (const each of all) watchSignal(signal, each)
  controller.abort()

  expect(told).toEqual(['first', 'third', 'fourth'])
})
