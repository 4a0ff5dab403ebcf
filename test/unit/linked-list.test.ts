/** Linked lists: their order, whatever is removed, also while a loop goes through them. */

import { describe, expect, test } from 'vitest'
import { LinkedList, LinkedSet, type ListNode } from '../../src/util/linked-list.ts'
import { unwatchSignal, watchSignal } from '../../src/util/signal.ts'
import { fc } from '../support/fast-check.ts'

test('a list has those who have not left, in the order they came', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 20 })), (moves) => {
      const line = new LinkedList<number>()
      const places: ListNode<number>[] = []
      let model: number[] = []
      for (const [nth, move] of moves.entries()) {
        const leaves = places[move]
        if (leaves === undefined) {
          places.push(line.add(nth))
          model.push(nth)
        } else {
          expect(line.remove(leaves)).toBe(model.includes(leaves.value))
          model = model.filter((each) => each !== leaves.value)
        }
        expect([[...line], line.size, line.first, line.at(1)]).toEqual([model, model.length, model[0], model[1]])
      }
    }),
  )
})

test('a place that was left leads to nobody', () => {
  const line = new LinkedList<string>()
  const [, second] = ['first', 'second', 'third'].map((each) => line.add(each))
  line.remove(second as ListNode<string>)

  expect(second).toMatchObject({ list: null, before: null, after: null })
})

describe.each<[string, (at: number) => number[]]>([
  ['the one that it has', (at) => [at]],
  ['the next one', (at) => [at + 1]],
  ['the next two', (at) => [at + 1, at + 2]],
  ['those before', (at) => [at - 1, at]],
  ['all', () => [0, 1, 2, 3, 4]],
])('where somebody goes through a roll and %s is deleted', (_, deleted) => {
  test.each([0, 1, 2, 3, 4])('at number %i, a loop gives what a Set gives', (at) => {
    const gone = (roll: LinkedSet<object> | Set<object>, all: readonly object[]): number[] => {
      for (const each of all) roll.add(each)
      const given: number[] = []
      for (const each of roll) {
        given.push(all.indexOf(each))
        if (given.length === at + 1) for (const nth of deleted(at)) roll.delete(all[nth] as object)
      }
      return given
    }
    const objects = Array.from({ length: 5 }, () => ({}))

    expect(gone(new LinkedSet(), objects)).toEqual(gone(new Set(), objects))
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
