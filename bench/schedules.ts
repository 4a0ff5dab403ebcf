// The pool under random schedules, many more than a test run takes: `npm run bench -- schedules --count 10000000`. A
// schedule that breaks an invariant is printed with its number, which runs it again: `--first N --count 1`.
import { parseArgs } from 'node:util'
import { runSchedule } from '../test/simulation/schedule.ts'

const { values } = parseArgs({
  options: { count: { type: 'string', default: '1000000' }, first: { type: 'string', default: '1' } },
})
const count = Number(values.count)
const first = Number(values.first)
const started = Date.now()

for (let seed = first; seed < first + count; seed++) {
  await runSchedule(seed)
  if ((seed - first + 1) % 1_000_000 === 0) console.log(`${seed - first + 1} schedules, no invariant broken`)
}
console.log(
  `${count} schedules from ${first} on in ${Math.round((Date.now() - started) / 1000)} s: no invariant broken`,
)
