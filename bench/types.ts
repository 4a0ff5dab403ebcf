// `npm run bench -- types`: what models cost the compiler. A program of 100 tables with 13 columns and 300 queries, by models
// and by Drizzle alone, is checked by several TypeScripts on both versions of Drizzle.
//
// --runs 3 (the medians count), --tables 100, --typescript 7,5.8, --drizzle 0.45,1.0, --keep (prints the directories, keeps them)
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { say, table, type Cell } from '../demo/support/table.ts'
import { median } from './support/quantile.ts'
import { type Flavour, writeProject } from './types/project.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    tables: { type: 'string', default: '100' },
    typescript: { type: 'string', default: '7,5.8' },
    drizzle: { type: 'string', default: '0.45,1.0' },
    keep: { type: 'boolean', default: false },
  },
})
const goal = 1.3
const root = join(import.meta.dirname, '..', '..')
const modules = join(root, 'node_modules')
// The checkers of TypeScript 7 share the work in a way that depends on the machine.
const compilers: Readonly<Record<string, readonly string[]>> = {
  '7': [join(modules, 'typescript', 'bin', 'tsc'), '--singleThreaded'],
  '6': [join(modules, 'typescript-6', 'bin', 'tsc')],
  '5.8': [join(modules, 'typescript-5.8', 'bin', 'tsc')],
}
const drizzles: Readonly<Record<string, string>> = {
  '0.45': join(modules, 'drizzle-orm'),
  '1.0': join(root, 'test', 'installs', 'drizzle-1', 'node_modules', 'drizzle-orm'),
}

interface Figures {
  readonly checkSeconds: number
  readonly instantiations: number
  readonly types: number
  readonly megabytes: number
}

const directory = await mkdtemp(join(tmpdir(), 'genever-types-'))
try {
  const lines: Cell[][] = []
  for (const version of values.drizzle.split(','))
    for (const compiler of values.typescript.split(',')) lines.push(await compare(version, compiler))
  const figures = ['check s bare', 'models', 'ratio', 'instantiations bare', 'models', 'ratio', 'MB bare', 'models']
  say(`${values.tables} tables of 13 columns, three queries each: Drizzle alone (bare), and models.`, '')
  say(table(['drizzle', 'typescript', ...figures, `check ≤ ${goal.toFixed(1)}`], lines, figures))
} finally {
  if (values.keep) say(directory)
  else await rm(directory, { recursive: true })
}

async function compare(version: string, compiler: string): Promise<Cell[]> {
  const [drizzle, command] = [drizzles[version], compilers[compiler]]
  if (drizzle === undefined || command === undefined)
    throw new Error(
      `There are TypeScript ${Object.keys(compilers).join()} and Drizzle ${Object.keys(drizzles).join()}.`,
    )
  const place = (flavour: Flavour): string => join(directory, `${compiler}-${version}-${flavour}`)
  const measured: Record<Flavour, Figures[]> = { drizzle: [], genever: [] }
  const flavours = ['drizzle', 'genever'] as const
  for (const flavour of flavours)
    await writeProject(place(flavour), flavour, { root, drizzle, tables: Number(values.tables) })
  for (let run = 0; run < Number(values.runs); run++)
    for (const flavour of run % 2 === 0 ? flavours : flavours.toReversed())
      measured[flavour].push(await check(command, place(flavour)))
  const of = (flavour: Flavour, what: keyof Figures): number => median(measured[flavour].map((run) => run[what]))
  const ratio = (what: keyof Figures): number => of('genever', what) / of('drizzle', what)
  return [
    version,
    compiler,
    of('drizzle', 'checkSeconds').toFixed(2),
    of('genever', 'checkSeconds').toFixed(2),
    ratio('checkSeconds').toFixed(2),
    of('drizzle', 'instantiations'),
    of('genever', 'instantiations'),
    ratio('instantiations').toFixed(2),
    of('drizzle', 'megabytes').toFixed(0),
    of('genever', 'megabytes').toFixed(0),
    ratio('checkSeconds') <= goal ? 'met' : 'missed',
  ]
}

/** @throws when the program has an error: a wrong type would be measured. */
async function check(command: readonly string[], project: string): Promise<Figures> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...command, '-p', project, '--extendedDiagnostics', '--pretty', 'false'],
    { maxBuffer: 64_000_000 },
  )
  const figure = (name: string): number => Number(new RegExp(`^${name}:\\s*([\\d.]+)`, 'm').exec(stdout)?.[1])
  return {
    checkSeconds: figure('Check time'),
    instantiations: figure('Instantiations'),
    types: figure('Types'),
    megabytes: figure('Memory used') / 1000,
  }
}
