// `npm run bench -- request`: what the plug-in of a framework costs a request, and what a handler costs whose three functions
// each query: on the connection of the request, and on a client of node-postgres that is taken, passed on and released by
// hand. Servers take turns in processes of their own; ratios are medians of the ratios of single rounds.
//
// An empty context is what any AsyncLocalStorage costs the framework's promises: beside it stands what is Genever's own.
//
// --rounds 21, --requests 3000 (a round), --only fastify, --path none, --before FOLDER (another checkout after `npm run build:bench` there)
import { parseArgs } from 'node:util'
import { say, table, type Cell } from '../demo/support/table.ts'
import { benchDatabase } from './support/database.ts'
import { median } from './support/quantile.ts'
import { frameworks, type WebSide } from './support/web-frameworks.ts'
import { LoadedServer, type WebSample } from './support/web-load.ts'

const noSqlGoal = 1.05

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '21' },
    requests: { type: 'string', default: '3000' },
    only: { type: 'string' },
    path: { type: 'string' },
    before: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const requests = Number(values.requests)

const comparisons: readonly { path: string; title: string; against: WebSide; goal: number | undefined }[] = [
  { path: '/none', title: 'no SQL: with the plug-in, without', against: 'bare', goal: noSqlGoal },
  { path: '/none', title: 'no SQL: with the plug-in, an empty context', against: 'context', goal: noSqlGoal },
  { path: '/read', title: 'three queries: Genever, a client by hand', against: 'hand', goal: undefined },
]

await using database = await benchDatabase()
const rows: Cell[][] = []
for (const framework of Object.keys(frameworks))
  if (values.only === undefined || values.only.split(',').includes(framework)) {
    for (const { path, title, against, goal } of comparisons)
      if (values.path === undefined || path === `/${values.path}`)
        rows.push(await compare({ framework, path, title, against, goal }))
    if (values.before !== undefined)
      for (const [path, title] of [
        ['/none', 'no SQL: now, before'],
        ['/read', 'three queries: now, before'],
      ] as const)
        if (values.path === undefined || path === `/${values.path}`)
          rows.push(await compare({ framework, path, title, against: 'genever', checkout: values.before }))
  }
const figures = ['CPU µs other', 'genever', 'ratio', 'goal', 'time µs other', 'genever', 'ratio']
say(`Node ${process.version}, ${rounds} rounds of ${requests} requests, CPU of the server's process.`, '')
say(table(['framework', '', ...figures], rows, figures))

interface Comparison {
  readonly framework: string
  readonly path: string
  readonly title: string
  readonly against: WebSide
  /** The ratio that is wanted. */
  readonly goal?: number | undefined
  /** The folder of another version, which is the other side. */
  readonly checkout?: string
}

async function compare({ framework, path, title, against, goal, checkout }: Comparison): Promise<Cell[]> {
  using ours = await LoadedServer.start(framework, 'genever', database.url)
  using other = await LoadedServer.start(framework, against, database.url, checkout)
  for (const server of [ours, other]) await server.measure(path, requests * 3)
  const samples: { ours: WebSample; other: WebSample }[] = []
  for (let round = 0; round < rounds; round++) {
    const early = round % 2 === 0 ? await ours.measure(path, requests) : null
    const theirs = await other.measure(path, requests)
    samples.push({ ours: early ?? (await ours.measure(path, requests)), other: theirs })
  }
  const of = (pick: (sample: (typeof samples)[number]) => number): number => median(samples.map(pick))
  const cpu = of((sample) => sample.ours.cpuMicros / sample.other.cpuMicros)
  return [
    framework,
    title,
    of((sample) => sample.other.cpuMicros).toFixed(1),
    of((sample) => sample.ours.cpuMicros).toFixed(1),
    cpu.toFixed(3),
    goal === undefined ? '' : `${cpu <= goal ? 'met' : 'missed'}: ≤ ${goal.toFixed(2)}`,
    of((sample) => sample.other.micros).toFixed(1),
    of((sample) => sample.ours.micros).toFixed(1),
    of((sample) => sample.ours.micros / sample.other.micros).toFixed(3),
  ]
}
