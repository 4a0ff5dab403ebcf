// The random samples of the tests, again and again with other seeds: `npm run soak -- --minutes 60`. It ends at the first failure;
// `SEED=… npm run soak` begins with the seed that was printed.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string', default: '10' } },
})
const minutes = Number(values.minutes)
if (!(minutes > 0)) {
  console.error('--minutes takes a number above 0.')
  process.exit(2)
}

const until = Date.now() + minutes * 60_000
let seed = Number(process.env['SEED'] ?? Math.floor(Date.now() / 1000) * 1000)
do {
  console.log(`SEED=${seed}`)
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--mode', 'soak', ...positionals],
    { stdio: 'inherit', env: { ...process.env, SEED: String(seed) } },
  )
  if (status !== 0) process.exit(status ?? 1)
  // Samples count their seeds up from here.
  seed += 1_000_000
} while (Date.now() < until)
