// The words of each database that a sandbox works on.
import { controlOf } from '../../postgres/control.ts'
import type { SandboxWords } from './contract.ts'
import { mysqlWords } from './mysql/words.ts'
import { SessionState } from './wire/session-state.ts'
import { serverError } from './wire/step.ts'

/** Classed `alone` because they may do anything; in a transaction they do what they can. */
const harmless = new Set(['CALL', 'COPY'])

const postgresWords: SandboxWords = {
  control: controlOf,
  lenient: false,
  level: "select current_setting('transaction_isolation') as level",
  readOnly: 'SET TRANSACTION READ ONLY',
  refusesToWrite: () => null,
  aborted: (message) => serverError('25P02', message),
  outside: (kind) => serverError('25P01', `${kind.toUpperCase()} can only be used in transaction blocks`),
  refusal: (_shared, _view, { stmt: { cls, verb } }) =>
    cls === 'alone' && !harmless.has(verb)
      ? `${verb} as written here cannot run inside a transaction, and a sandbox is one. Run it outside of the sandbox.`
      : null,
  session: (shared) => new SessionState(shared),
  async rollBack(shared) {
    await shared.send([shared.own(shared.engine.dialect.rollback)])
    return null
  },
}

const known: ReadonlyMap<string, SandboxWords> = new Map([
  ['postgres', postgresWords],
  ['mysql', mysqlWords],
])

/** Undefined: a sandbox knows nothing of such a database. */
export function wordsOf(family: string): SandboxWords | undefined {
  return known.get(family)
}
