// `npm run bench -- pglite-memory`: what stays in memory of PGlite's answers: of 100 MB of rows, of 100,000 statements and of
// 30 MB of notices. Nothing should.
//
// --rows 100 (megabytes), --statements 100000, --notices 30 (megabytes)
import { createDb } from 'genever'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { say, table, type Cell } from '../demo/support/table.ts'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100' },
    statements: { type: 'string', default: '100000' },
    notices: { type: 'string', default: '30' },
  },
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function megabytes(): number {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 1_000_000
}

const db = await createDb('pglite://memory').open()
const kinds: readonly (readonly [what: string, count: number, work: () => Promise<unknown>])[] = [
  ['MB of rows', Number(values.rows), () => db.all(`select repeat('x', 1000) as v from generate_series(1, 1000)`)],
  ['statements', Number(values.statements), () => db.scalar('select 1')],
  [
    'MB of notices',
    Number(values.notices),
    () => db.status(`do $$ begin for i in 1..1000 loop raise notice '%', repeat('n', 900); end loop; end $$`),
  ],
]
const figures = ['MB before', 'after', 'kept']
const rows: Cell[][] = []
for (const [what, count, work] of kinds) {
  for (let i = 0; i < 5; i++) await work()
  const before = megabytes()
  for (let i = 0; i < count; i++) await work()
  const after = megabytes()
  rows.push([`${count} ${what}`, before, after, after - before])
}
say(table(['', ...figures], rows, figures))
await db.close()
