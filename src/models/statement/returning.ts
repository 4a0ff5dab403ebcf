// Whether INSERT and DELETE give their rows: PostgreSQL does, of the servers of MySQL's dialect only MariaDB. Sessions tell when they open.
import type { Executor } from '../../engine/query/executor.ts'
import type { ModelMeta } from '../meta/model-meta.ts'
import type { CallOptions } from '../types/model.ts'
import { ready } from './ready.ts'

/** Whether INSERT and DELETE give their rows where that runs; a promise while no session has been opened. */
export function returnsRows(
  meta: ModelMeta,
  executor: Executor,
  options: CallOptions | undefined,
): boolean | Promise<boolean> {
  if (meta.dialect.models.returns) return true
  const engine = executor.engineHere()
  if (engine instanceof Promise || engine.returning === null) return ask(meta, executor, options)
  return engine.returning
}

async function ask(meta: ModelMeta, executor: Executor, options: CallOptions | undefined): Promise<boolean> {
  const engine = await executor.engineHere()
  if (engine.returning === null)
    await executor.first(ready(meta, 'select 1', []), { timeoutMs: options?.timeoutMs, signal: options?.signal })
  return engine.returning === true
}
