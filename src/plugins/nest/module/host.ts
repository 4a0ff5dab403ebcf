// One database of a Nest application: its plug-in, opened before anything that injects it is made.
import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import type { IncomingMessage } from 'node:http'
import { createDb } from '../../../db/db.ts'
import { UsageError } from '../../../errors/index.ts'
import type { PluginLogger } from '../../log.ts'
import { WebPlugin } from '../../plugin.ts'
import { type GeneverModuleOptions, type ModuleParts, split } from './options.ts'

/** The names that are taken, by application. */
const taken = new WeakMap<ModulesContainer, Set<string | undefined>>()

export class Host {
  readonly name: string | undefined
  readonly plugin: WebPlugin<IncomingMessage>
  readonly drainTimeoutMs: number

  /** @throws {InvalidOptionError} when options are wrong. */
  constructor(name: string | undefined, given: GeneverModuleOptions, parts: ModuleParts | null) {
    const { db, drainTimeoutMs, plugin } = split(given, name, parts)
    this.name = name
    this.drainTimeoutMs = drainTimeoutMs
    this.plugin = new WebPlugin<IncomingMessage>(db ?? createDb(), plugin)
    this.plugin.configure(null, nestLogger())
  }
}

/**
 * The host, with its database open.
 * @throws {ConnectError} when the database stays away: the application does not start.
 * @throws {UsageError} when the application has a database of this name.
 */
export async function openHost(
  modules: ModulesContainer,
  name: string | undefined,
  given: GeneverModuleOptions,
  parts: ModuleParts | null,
): Promise<Host> {
  const names = taken.get(modules) ?? new Set()
  taken.set(modules, names)
  if (names.has(name))
    throw new UsageError(
      `GeneverModule was imported twice ${name === undefined ? 'without a name' : `with the name "${name}"`}. Import one ` +
        'module where both are needed (it is global), or give the other database another name.',
    )
  names.add(name)
  const host = new Host(name, given, parts)
  await host.plugin.open()
  return host
}

/** Nest's own logger, whatever the application has put in its place. */
function nestLogger(): PluginLogger {
  const logger = new Logger('Genever')
  return {
    info: (line) => logger.log(line),
    warn: (line) => logger.warn(line),
    error: (line) => logger.error(line),
  }
}
