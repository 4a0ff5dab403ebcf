// `npm run bench -- growth`: what Genever (driver `socket`) costs as work grows, beside node-postgres with named statements: rows,
// columns, statements in flight, connections, distinct texts; quick reads beside a slow one; TLS beside none; from the start of a
// process to its first row. Blocks take turns; medians.
//
// --rounds 7, --ms 60 (a block), --only rows,columns,flight,connections,texts,beside,tls,start,
// --page docs/performance.md (all its tables are replaced: not with --only)
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseArgs } from 'node:util'
import { heading, say } from '../demo/support/table.ts'
import { ownServer } from '../test/support/own-server.ts'
import { putInPage } from './support/page.ts'
import { beside } from './support/growth/beside.ts'
import { columns, connections, flight, rows, texts } from './support/growth/curves.ts'
import { start } from './support/growth/start.ts'
import { tls } from './support/growth/tls.ts'
import type { Place } from './support/growth/turns.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    ms: { type: 'string', default: '60' },
    only: { type: 'string' },
    page: { type: 'string' },
  },
})
if (values.page !== undefined && values.only !== undefined)
  throw new Error('--page replaces all tables of the page, so leave --only out.')

const tables: Readonly<Record<string, readonly [title: string, measure: (place: Place) => Promise<string>]>> = {
  rows: ['Rows of an answer, six columns', rows],
  columns: ['Columns of an answer of 100 rows', columns],
  flight: ['Statements in flight, on 10 connections', flight],
  connections: ['Connections, with 1,000 statements in flight', connections],
  texts: ['Distinct texts, in turn on one connection', texts],
  beside: ['Quick reads beside a statement of 500 ms', beside],
  tls: ['TLS beside none, on 10 connections', tls],
  start: ['From the start of a process to its first row', ({ server, rounds }) => start(server.url, rounds * 2)],
}

await using server = await ownServer()
await server.stop('fast')
await server.start()
const sheets: string[] = []
const place: Place = { server, rounds: Number(values.rounds), blockMs: Number(values.ms) }
say(`Node ${process.version}, ${values.rounds} rounds of ${values.ms} ms for each side in turns; medians.`)
await new AsyncLocalStorage<object>().run({}, async () => {
  for (const [name, [title, measure]] of Object.entries(tables)) {
    if (values.only !== undefined && !values.only.split(',').includes(name)) continue
    heading(title)
    const sheet = await measure(place)
    say(sheet)
    sheets.push(`### ${title}\n\n\`\`\`text\n${sheet}\n\`\`\``)
  }
})
const when = `Node ${process.version}, ${new Date().toISOString().slice(0, 10)}.`
if (values.page !== undefined) await putInPage(values.page, 'growth', [when, ...sheets].join('\n\n'))
