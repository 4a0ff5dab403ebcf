/** The fake driver under a scheduler: every event is a step, and the invariants hold in every order. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import type { StepScheduler } from '../../src/driver/fake/scenario.ts'
import { connect, later, TestOp } from './fake-driver-client.ts'

/** Runs steps by hand. */
class Stepper implements StepScheduler {
  readonly steps: { readonly label: string; readonly run: () => void }[] = []

  defer(label: string, run: () => void): void {
    this.steps.push({ label, run })
  }

  get labels(): string[] {
    return this.steps.map(({ label }) => label)
  }

  async step(label?: string): Promise<void> {
    await Promise.resolve()
    const at = label === undefined ? 0 : this.labels.indexOf(label)
    const [step] = this.steps.splice(at, 1)
    expect(step, label).toBeDefined()
    step?.run()
    for (let i = 0; i < 9; i++) await Promise.resolve()
  }
}

async function stepped(options: { maxInFlight?: number } = {}) {
  const steps = new Stepper()
  const driver = new FakeDriver({ ...options, schedule: steps })
  const opening = connect(driver)
  await steps.step('open')
  return { steps, driver, ...(await opening) }
}

test('opening, running, answering and closing are one step each', async () => {
  const { steps, driver, raw } = await stepped()
  const op = new TestOp('insert into t values (1)')

  raw.submit(op)
  await Promise.resolve()
  const waiting = [steps.labels, driver.rows('t').length]
  await steps.step()
  const ran = [steps.labels, driver.rows('t').length, op.end]
  await steps.step()
  const closing = raw.close(later(1000))

  expect(waiting).toEqual([['#1 run insert into t values (1)'], 0])
  expect(ran).toEqual([['#1 answer insert into t values (1)'], 1, 'pending'])
  expect(op.end).toBe('INSERT 1')
  expect(steps.labels).toEqual(['#1 close'])
  await steps.step()
  await closing
})

test('a cancel can arrive before its statement runs, after it ran, or while the neighbour runs', async () => {
  const { steps, raw, driver } = await stepped({ maxInFlight: 2 })
  const send = (text: string): TestOp => {
    const op = new TestOp(text)
    raw.submit(op)
    return op
  }
  const finish = async (): Promise<void> => {
    while (steps.steps.length > 0) await steps.step()
  }

  const early = send('select 1')
  const first = raw.cancel(early, later(1000))
  await steps.step('#1 cancel')
  await finish()

  const late = send('select 2')
  await steps.step('#1 run select 2')
  const neighbour = send('select 3')
  const second = raw.cancel(late, later(1000))
  await steps.step('#1 cancel')
  await finish()

  expect([await first, early.end]).toEqual(['cancelled', 'server 57014 rolled_back'])
  expect([await second, late.end, neighbour.end]).toEqual(['completed', 'SELECT 1', 'server 57014 rolled_back'])
  expect(driver.violations).toEqual([])
})

test('a deadline is a step only where nothing else would happen', async () => {
  const { steps, raw, driver } = await stepped()
  driver.faults.at({ phase: 'reset', nth: 2 }, { hang: true })

  const first = raw.reset(0, later(1000))
  await steps.step('#1 run <reset>')
  const orderly = steps.labels
  await steps.step('#1 answer <reset>')
  const second = raw.reset(0, later(1000))
  await steps.step('#1 run <reset>')

  expect(orderly).toEqual(['#1 answer <reset>'])
  expect(steps.labels).toEqual(['#1 reset: deadline'])
  await steps.step()
  expect([await first, await second]).toEqual([true, false])
})

test('a loss is a step of its own, before which the connection seems alive', async () => {
  const { steps, raw, driver, events } = await stepped()
  driver.faults.at('select', { lost: true })
  const op = new TestOp('select 1')
  raw.submit(op)
  await steps.step('#1 run select 1')

  const before = [raw.alive, driver.openCount]
  await steps.step('#1 loss')

  expect(before).toEqual([true, 0])
  expect([raw.alive, op.end, ...events]).toEqual([false, 'lost unknown', 'lost lost'])
})

test('in every order all is told once, in order, and what is told committed is there', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 3 }),
      fc.option(fc.constantFrom('send', 'answer', 'after-answer'), { nil: undefined }),
      fc.integer({ min: 1, max: 6 }),
      fc.boolean(),
      async (schedule, maxInFlight, phase, nth, cancels) => {
        const driver = new FakeDriver({ maxInFlight, schedule })
        if (phase !== undefined) driver.faults.at({ phase, nth }, { lost: true })
        const ended: number[] = []
        const ops = [1, 2, 3, 4, 5, 6].map((v) => new TestOp('insert into t values ($1)', [v]))
        ops.forEach((op, i) => void op.settled.then(() => ended.push(i)))

        const owner = async (): Promise<void> => {
          const { raw } = await connect(driver)
          const left = [...ops]
          while (left.length > 0) {
            const sent = left.splice(0, maxInFlight)
            if (!raw.alive) return
            for (const op of sent) raw.submit(op)
            if (cancels) await raw.cancel(sent[0]!, Infinity)
            await Promise.all(sent.map((op) => op.settled))
          }
          await raw.close(Infinity)
        }
        await schedule.waitFor(owner())

        const sent = ops.filter((op) => op.state !== 0)
        const rows = driver.rows('t').map((row) => row['v'])
        expect(sent.map((op) => op.told)).toEqual(sent.map(() => 1))
        expect(ended).toEqual(sent.map((_, i) => i))
        for (const op of sent) {
          if (op.failure === null) expect(rows).toContain(op.params[0])
          else if (op.failure.outcome !== 'unknown') expect(rows).not.toContain(op.params[0])
        }
        expect([driver.openCount, driver.violations]).toEqual([0, []])
      },
    ),
    { numRuns: 300 },
  )
})

test('two transactions stay atomic in every order of their steps', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.boolean(), fc.nat(3), async (schedule, lost, nth) => {
      const driver = new FakeDriver({ schedule })
      if (lost) driver.faults.at({ nth: nth + 1, phase: 'send' }, { lost: true })
      const work = async (v: number): Promise<string> => {
        const { run, raw } = await connect(driver)
        const texts = ['BEGIN', `insert into t values (${v})`, `insert into t values (${v})`, 'COMMIT']
        let end = ''
        for (const text of texts) if (raw.alive) end = (await run(text))[0] ?? ''
        return end
      }

      const ends = await schedule.waitFor(Promise.all([work(1), work(2)]))

      for (const [i, end] of ends.entries()) {
        const count = driver.rows('t').filter((row) => row['v'] === i + 1).length
        if (end === 'COMMIT') expect(count).toBe(2)
        else if (end === 'lost rolled_back') expect(count).toBe(0)
        else expect([0, 2]).toContain(count)
      }
    }),
    { numRuns: 200 },
  )
})
