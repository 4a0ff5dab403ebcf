import { expect, test } from 'vitest'
import { runSchedule } from './schedule.ts'
import { sample, sampleSeed } from '../support/extent.ts'

const schedules = sample({ once: 2_000, matrix: 20_000, soak: 100_000 })

test('no schedule of borrowers, failures and time breaks an invariant of the pool', { timeout: 600_000 }, async () => {
  const first = sampleSeed(1)

  for (let seed = first; seed < first + schedules; seed++) await runSchedule(seed)

  expect(schedules).toBeGreaterThan(0)
})

test.each([[5_614_150, 'reads join a lane although the idle connection that was to serve a borrower is dead']])(
  'schedule %i, where %s, keeps the rules',
  async (seed) => {
    expect(await runSchedule(seed)).toBeUndefined()
  },
)
