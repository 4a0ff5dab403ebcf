// `npm run bench -- start`: what a new process costs until it has its first row, by Genever (driver `socket`, and over node-postgres) and
// by node-postgres, without TLS and password; and what Node itself takes of that. Processes take turns; medians, and for the ratio of
// processor time the quarters around it.
//
// --pairs 40
import { parseArgs } from 'node:util'
import { say } from '../demo/support/table.ts'
import { temporaryDatabase } from '../demo/support/database.ts'
import { start } from './support/growth/start.ts'

const { values } = parseArgs({ options: { pairs: { type: 'string', default: '40' } } })
await using database = await temporaryDatabase()
say(
  `Node ${process.version}, ${values.pairs} processes of each.`,
  '',
  await start(database.url, Number(values.pairs)),
  '',
  'goal: CPU of genever ≤ 1.00 of pg',
)
