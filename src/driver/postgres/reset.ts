// The statements that a session runs for itself, such as those of a reset.
import type { Compiled } from '../../sql/compiled.ts'
import { type Failure, type Op, OpState, parseOnly, type RefusedStatement } from '../driver.ts'
import type { PreparedCache } from './prepared/prepared-cache.ts'

export interface SilentOp extends Op<Record<string, string | undefined>> {
  failure: Failure | null
}

/** A statement of the session's own; nobody waits for it but the exchange. */
export function silentText(text: string): SilentOp {
  const stmt = {
    text,
    name: '',
    cls: 'multi',
    verb: '',
    hasControl: true,
    control: null,
    dirties: 0,
    pins: 0,
    names: 0,
    shape: null,
  } as const
  return silentOp({ ...stmt }, 0)
}

export function silentOp(stmt: Compiled, maxRows: number, params: readonly unknown[] = []): SilentOp {
  return {
    failure: null,
    stmt,
    params,
    spec: null,
    maxRows,
    rows: [],
    tag: '',
    count: -1,
    state: OpState.sent,
    done() {},
    fail(failure) {
      this.failure = failure
    },
  }
}

/** What takes away the listed statements that others have prepared. Ours that are gone are forgotten. */
export function foreignIn(
  listed: readonly Record<string, unknown>[],
  prepared: PreparedCache,
  lent: boolean,
  prefix: string,
): string {
  if (lent) prepared.keep(new Set(listed.map(({ name }) => String(name))))
  // A prefix says that others have theirs on the same session of the server.
  const ours = lent && prefix === '' ? new Set(prepared.names()) : null
  const foreign = listed.filter(({ name, from_sql }) => from_sql === true || ours?.has(String(name)) === false)
  return foreign.map(({ name }) => `DEALLOCATE "${String(name).replaceAll('"', '""')}"`).join('; ')
}

/** Prepares statements in one unit, and those behind one that is refused in another. Null: the session broke, or took too long. */
export async function prepareAll(
  statements: readonly Compiled[],
  run: (ops: readonly Op[]) => Promise<boolean>,
): Promise<readonly RefusedStatement[] | null> {
  const refused: RefusedStatement[] = []
  for (let rest = statements; rest.length > 0;) {
    const ops = rest.map((stmt) => silentOp(stmt, parseOnly))
    if (await run(ops)) break
    const at = ops.findIndex(({ failure }) => failure?.kind === 'server')
    const stmt = rest[at]
    if (stmt === undefined) return null
    refused.push({ stmt, failure: ops[at]?.failure as Failure })
    // What stood before it is prepared: an error takes back no Parse.
    rest = rest.slice(at + 1)
  }
  return refused
}
