/** Databases that ask what became of a COMMIT (`resolveCommitMs`), and the moments at which it is lost. */

import type { EngineOptions } from 'genever'
import type { Moment } from '../support/proxy.ts'
import { slowCommits, type SlowSite } from './slow-commit.ts'
import { site, type Site } from './support.ts'

export const insert = 'insert into t values (1)'
export const commitGoes: Moment = { to: 'server', text: 'COMMIT', when: 'before' }
export const commitDone: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'before' }
export const commitTold: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'after' }
export const numberGoes: Moment = { to: 'server', text: 'pg_current_xact_id', when: 'before' }
export const numberTold: Moment = { to: 'client', type: 'D', when: 'before' }
export const statusTold: Moment = { to: 'client', type: 'D', when: 'before' }

/** With one connection, so that whoever asks cannot have another than that of the transaction. */
export const resolving = (options: EngineOptions = {}): Promise<Site> =>
  site({ resolveCommitMs: 50_000, ...options, pool: { max: 1, ...options.pool } })

export const slowly = (options: EngineOptions = {}): Promise<SlowSite> => slowCommits(resolving(options))

export const insertSlow = 'insert into slow values (1)'
