// Transactions of MySQL and MariaDB in a sandbox: an error ends one statement, settings outlive a rollback, and much commits by itself.
import type { Op } from '../../../driver/driver.ts'
import { TransactionStateError } from '../../../errors/index.ts'
import { controlOf } from '../../../mysql/control.ts'
import { type Compiled, Dirty, Pin } from '../../../sql/compiled.ts'
import type { SandboxWords, SessionView, SessionWire } from '../contract.ts'
import { refusedWith, serverError } from '../wire/step.ts'
import { databaseOf, touchedBy } from './names.ts'
import { MysqlSession, usesNumber } from './session.ts'

/** Questions about the statement before, which in a sandbox may be one of the sandbox itself. */
const asksLast =
  /\b(?:row_count|found_rows)\s*\(|@@\s*(?:session\.)?(?:warning_count|error_count)\b|^\s*(?:show|get)\b/i
const writes = new Set(['INSERT', 'REPLACE', 'UPDATE', 'DELETE', 'LOAD'])
/** WITH … UPDATE. */
const changesBehind = /\)\s*(?:insert|replace|update|delete)\b/i
const notTransactional = '1196'

export const mysqlWords: SandboxWords = {
  control: controlOf,
  lenient: true,
  level: "show session variables where variable_name in ('tx_isolation', 'transaction_isolation')",
  readOnly: null,
  refusesToWrite: ({ stmt }) =>
    writes.has(stmt.verb) || (stmt.verb === 'WITH' && stmt.cls === 'write' && changesBehind.test(stmt.text))
      ? serverError('1792', 'Cannot execute statement in a READ ONLY transaction.', '25006')
      : null,
  aborted: (message) => refusedWith(new TransactionStateError(`${message[0]?.toUpperCase()}${message.slice(1)}.`)),
  outside: (kind, name) =>
    kind === 'savepoint' ? null : serverError('1305', `SAVEPOINT ${name} does not exist`, '42000'),
  refusal,
  session: (shared) => new MysqlSession(shared),
  async rollBack(shared) {
    // A ROLLBACK leaves older warnings where they are; a statement with a table does not.
    await shared.send([shared.own('select 1 from (select 1) as cleared')])
    await shared.send([shared.own(shared.engine.dialect.rollback)])
    const warnings = shared.own('show warnings')
    await shared.send([warnings])
    const rows = warnings.rows as { Code: number }[]
    return rows.some(({ Code }) => String(Code) === notTransactional)
      ? 'A table was changed whose engine has no transactions, such as MyISAM, Aria or MEMORY: these changes stay. Make the tables of ' +
          'tests with ENGINE = InnoDB.'
      : null
  },
}

function refusal(shared: SessionWire, view: SessionView, { stmt }: Op): string | null {
  const { cls, verb, dirties, pins } = stmt
  if (cls === 'commits')
    return verb === 'CALL'
      ? 'CALL cannot run in a sandbox, because a procedure of MySQL may commit. Run it outside of the sandbox.'
      : `${verb} commits what was done before on MySQL, so a sandbox could not take it back. Run it outside of the sandbox.`
  if ((dirties & Dirty.role) !== 0)
    return 'SET ROLE cannot run in a sandbox, because MySQL does not say which role to go back to.'
  if ((dirties & (Dirty.prepared | Dirty.cursors)) !== 0)
    return `${verb} cannot run in a sandbox, where all connections are one session. Test it outside of one.`
  const { beyond } = touchedBy(stmt)
  if (beyond !== null || (verb === 'SET' && cls === 'write' && dirties === 0))
    return `${beyond ?? 'SET GLOBAL'} cannot run in a sandbox: it acts on more than the session, or on transactions that begin later.`
  if (databaseOf(stmt) !== null && shared.session instanceof MysqlSession && shared.session.home === '')
    return 'USE cannot run in this sandbox, because its connection began without a database to go back to. Give the URL one.'
  if (cls === 'control') return controlRefusal(view, stmt.text)
  return (pins & Pin.sequences) !== 0 && verb !== 'SIGNAL' && verb !== 'RESIGNAL' ? asked(shared, view, stmt) : null
}

function controlRefusal({ transaction }: SessionView, text: string): string | null {
  const control = controlOf(text)
  if (control.kind === 'begin' && transaction !== null && transaction.savepoint !== '')
    return 'BEGIN inside a transaction commits it on MySQL. COMMIT first, or use a savepoint.'
  if (control.kind !== 'modes') return null
  if (transaction !== null) return 'SET TRANSACTION cannot run inside a transaction on MySQL: run it before BEGIN.'
  return control.readOnly ? 'SET TRANSACTION READ ONLY cannot run in a sandbox: use START TRANSACTION READ ONLY.' : null
}

function asked({ session, last }: SessionWire, view: SessionView, stmt: Compiled): string | null {
  // Each view has what last_insert_id() gives it. Where that is not in the session, a statement of the sandbox puts it there.
  const held = !(session instanceof MysqlSession) || session.numbered === view || !usesNumber(stmt)
  const behind = (view.transaction?.savepoint ?? '') !== '' && last === view
  return !asksLast.test(stmt.text) || (behind && held)
    ? null
    : 'In a sandbox this would answer for a statement of another connection, or of the sandbox: all connections are one session. Use ' +
        'the answer of status(), or ask in the transaction of the statement, right behind it.'
}
