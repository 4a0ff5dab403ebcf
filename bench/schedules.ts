// The pool under random schedules, many more than a test run takes: `npm run bench -- schedules --count 10000000`. More than
// half of the worlds have connections that take several statements at once. A schedule that breaks an invariant is
// printed with its number, which runs it again: `--first N --count 1`.
import { parseArgs } from 'node:util'
import { runSchedule } from '../test/simulation/schedule.ts'

/** How often it says how far it is. */
const step = 100_000

const { values } = parseArgs({
  options: { count: { type: 'string', default: '1000000' }, first: { type: 'string', default: '1' } },
})
const count = Number(values.count)
const first = Number(values.first)
const started = Date.now()
const seconds = (since: number): number => Math.round((Date.now() - since) / 1000)

let stepStarted = started
for (let seed = first; seed < first + count; seed++) {
  await runSchedule(seed)
  const done = seed - first + 1
  if (done % step !== 0 || done === count) continue
  const left = Math.round((seconds(started) / done) * (count - done))
  console.log(`${done} of ${count} schedules, the last ${step} in ${seconds(stepStarted)} s, about ${left} s to go`)
  stepStarted = Date.now()
}
console.log(`${count} schedules from ${first} on in ${seconds(started)} s: no invariant broken`)
