// `npm run bench -- import`: how long `import 'genever'` takes beside `import 'pg'`, each in a process of its own, one after the
// other in turns. The loop measures the import alone, not the start of Node.js. The modules are those of the package itself.
//
// --starts 15
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { say, table } from '../demo/support/table.ts'
import { median } from './support/quantile.ts'

const { values } = parseArgs({ options: { starts: { type: 'string', default: '15' } } })

function importMs(name: string): number {
  const program = `const t = performance.now(); await import(${JSON.stringify(name)}); console.log(performance.now() - t)`
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }))
}

const names = ['genever', 'pg'] as const
const times: Record<(typeof names)[number], number[]> = { genever: [], pg: [] }
for (let start = 0; start < Number(values.starts); start++) for (const name of names) times[name].push(importMs(name))

const over = median(times.pg)
const rows = names.map((name) => [name, median(times[name]).toFixed(1), (median(times[name]) / over).toFixed(2)])
say(table(['import of', 'median ms', 'times pg'], rows))
