// `genever doctor`: looks at a database and the pool in front of it, and says what to do.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Engine } from '../engine/engine.ts'
import { isGeneverError, UsageError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'
import { type Finding, serverFindings } from './findings.ts'
import { numberOf } from './migrate-command.ts'
import { ownVersion, type Project } from './project.ts'
import type { Terminal } from './terminal.ts'

export interface DoctorFlags {
  readonly processes?: string | undefined
}

const trials = 20

/** The exit code. */
export async function runDoctor(project: Project, flags: DoctorFlags, terminal: Terminal): Promise<number> {
  const processes =
    flags.processes === undefined ? (project.config.processes ?? 1) : numberOf('--processes', flags.processes, 1)
  const findings: Finding[] = [versions()]
  try {
    const started = clock.now()
    const engine = await project.db.engineHere()
    const connectMs = clock.now() - started
    if (engine.dialect.name !== 'postgres')
      throw new UsageError(
        `genever doctor reads the catalogue of PostgreSQL, and this database is ${engine.dialect.title}.`,
      )
    findings.push(
      { level: 'ok', about: 'database', says: `${engine.options.describe()}, from ${project.from}` },
      await latency(engine, connectMs),
      ...(await serverFindings(engine, processes)),
    )
  } catch (error) {
    findings.push(unreachable(project, error))
  }
  const ok = findings.every(({ level }) => level !== 'error')
  if (terminal.json) terminal.printJson({ ok, findings })
  else print(findings, terminal)
  return ok ? 0 : 1
}

function versions(): Finding {
  const beside = ['pg', 'drizzle-orm', 'kysely'].flatMap((name) => {
    const version = versionOf(name)
    return version === null ? [] : [`${name} ${version}`]
  })
  return {
    level: 'ok',
    about: 'versions',
    says: [`genever ${ownVersion()}`, `Node ${process.version}`, ...beside].join(', '),
  }
}

function versionOf(name: string): string | null {
  const require = createRequire(join(process.cwd(), 'genever.config.js'))
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: string }).version
    } catch {
      // It is not in this one.
    }
  }
  return null
}

async function latency(engine: Engine, connectMs: number): Promise<Finding> {
  const times: number[] = []
  await engine.scope(async () => {
    for (let trial = 0; trial < trials; trial++) {
      const started = clock.now()
      await engine.scalar('select 1')
      times.push(clock.now() - started)
    }
  })
  const median = times.toSorted((a, b) => a - b)[trials / 2] ?? 0
  const says = `connected in ${connectMs.toFixed(0)} ms; a statement takes ${median.toFixed(2)} ms`
  if (median < 20) return { level: 'ok', about: 'latency', says }
  return {
    level: 'warning',
    about: 'latency',
    says,
    remedy: 'Run the program nearer to the database: each statement of a request pays this.',
  }
}

function unreachable({ from }: Project, error: unknown): Finding {
  const message = error instanceof Error ? error.message : String(error)
  const remedy = isGeneverError(error, 'AUTHENTICATION')
    ? "Look at user and password in the URL, and at the server's access rules."
    : isGeneverError(error, 'USAGE')
      ? `Mend what ${from} says.`
      : 'Is the server running, and reachable from here? Look at host, port and firewall.'
  return { level: 'error', about: 'database', says: message, remedy }
}

const marks = { ok: ['green', '✓'], note: ['cyan', 'i'], warning: ['yellow', '!'], error: ['red', '✗'] } as const

function print(findings: readonly Finding[], terminal: Terminal): void {
  const width = Math.max(...findings.map(({ about }) => about.length))
  for (const { level, about, says, remedy } of findings) {
    const [colour, mark] = marks[level]
    terminal.print(`${terminal.style(colour, mark)} ${about.padEnd(width)}  ${says}`)
    if (remedy !== undefined) terminal.print(`  ${' '.repeat(width)}  ${terminal.style('bold', `→ ${remedy}`)}`)
  }
  const count = (level: Finding['level']): number => findings.filter((each) => each.level === level).length
  terminal.print(`${count('error')} wrong, ${count('warning')} to look at.`)
}
