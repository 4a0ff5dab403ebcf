// The fake SQL: the few statements the fake server understands by itself, each by one pattern. What is not here goes to
// the `answer` function of the test. Names are folded by dropping quotes and `public.`; casts are dropped.
//
// begin, commit, rollback, savepoint …            with their options, names and errors (transaction control: session.ts)
// select 1, 'x' as a, $1::int                     also set_config, current_setting, current_user, pg_backend_pid,
//                                                 pg_notify, pg_advisory_lock, pg_advisory_unlock, pg_sleep(seconds)
// select * | a, b | count(*) from t [where a = $1 [and b <> 2 …]] [order by a] [limit n] [for update]
//                                                 pg_settings has the settings of the session, all with source 'session'
// select … from generate_series(1, $1) [as n]     also: select generate_series(1, 10)
// insert into t [(a, b)] values ($1, 'x'), (…) [returning …]    without columns they are v, v2, v3, …
// update t set a = a + 1 [where …] [returning …]  delete from t [where …] [returning …]   truncate t
// set [local] a = b, set role …, set session authorization …, reset a | all, show a, discard all
// declare c cursor [with hold] for select …, fetch | move [forward] n from c, close c | all
// listen, unlisten, notify, prepare x as …, deallocate x | all, create temp table t …, notice <text>
// fail <sqlstate> [message], sleep [milliseconds: without, until cancelled]
// create, drop, alter, lock, analyze, vacuum, …   are answered and do nothing
import type { Change, FakeRow, FakeSession, Reply, Rows } from './session.ts'
import { compare, cut, Evaluation, fold, notify, part, refused, strip, unquote } from './values.ts'

export interface Control {
  readonly verb: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'rollback to'
  /** Of a savepoint. */
  readonly name: string
  readonly text: string
}

const rollbackTo = /^(?:rollback|abort)(?:\s+work|\s+transaction)?\s+to\s+(?:savepoint\s+)?(\S+)$/i
const release = /^release\s+(?:savepoint\s+)?(\S+)$/i
const savepoint = /^savepoint\s+(\S+)$/i

/** What a text does to the transaction; null: nothing. */
export function controlOf(sql: string): Control | null {
  const text = strip(sql)
  if (/^(?:begin|start\s+transaction)\b/i.test(text)) return { verb: 'begin', name: '', text }
  if (/^(?:commit|end)\b/i.test(text)) return { verb: 'commit', name: '', text }
  const partial = rollbackTo.exec(text)?.[1]
  if (partial !== undefined) return { verb: 'rollback to', name: fold(partial), text }
  if (/^(?:rollback|abort)\b/i.test(text)) return { verb: 'rollback', name: '', text }
  const made = savepoint.exec(text)?.[1]
  if (made !== undefined) return { verb: 'savepoint', name: fold(made), text }
  const released = release.exec(text)?.[1]
  if (released !== undefined) return { verb: 'release', name: fold(released), text }
  return null
}

/** The statements of a text, cut at semicolons outside of quotes. */
export function splitStatements(sql: string): string[] {
  return cut(sql, ';').map(strip).filter(Boolean)
}

/** Runs one statement that is no transaction control; null: it is no fake SQL. */
export function runStatement(text: string, params: readonly unknown[], session: FakeSession): Reply | null {
  for (const [pattern, run] of statements) {
    const match = pattern.exec(text)
    const reply = match === null ? null : run(match, new Evaluation(params, session), session)
    if (reply !== null) return reply
  }
  return null
}

type Run = (match: RegExpExecArray, values: Evaluation, session: FakeSession) => Reply | null

const where = String.raw`(?:\s+where\s+(.+?))?`
const returning = String.raw`(?:\s+returning\s+(.+))?$`
const named = String.raw`([\w".]+)`

const statements: readonly (readonly [RegExp, Run])[] = [
  [/^fail\s+(\w{5})(?:\s+(.+))?$/is, (match) => refused(part(match, 1).toUpperCase(), match[2])],
  [
    /^sleep(?:\s+(\S+))?$/i,
    (match) => ({ ...done('SLEEP'), waitMs: match[1] === undefined ? Infinity : Number(match[1]) }),
  ],
  [
    /^select\s+pg_sleep\((.+)\)$/i,
    (match, values) => ({ ...answer('SELECT', [{ pg_sleep: '' }]), waitMs: Number(values.of(part(match, 1))) * 1000 }),
  ],
  [/^notice\s+(.+)$/is, (match, _, session) => (session.notice('00000', part(match, 1), 'NOTICE'), done('NOTICE'))],
  [/^select\s+(.+?\s+from\s+)?generate_series\((.+?),(.+?)\)(?:\s+(?:as\s+)?(\w+))?$/is, series],
  [
    new RegExp(
      String.raw`^select\s+(.+?)\s+from\s+${named}${where}(?:\s+order\s+by\s+(\w+)(\s+desc)?)?(?:\s+limit\s+(\S+))?(?:\s+for\s+.+)?$`,
      'is',
    ),
    selectFrom,
  ],
  [/^select$/i, () => ({ rows: [[]], tag: 'SELECT', count: 1 })],
  [/^select\s+(.+)$/is, (match, values) => whole(values, () => values.project(part(match, 1), [{}], 'SELECT'))],
  [new RegExp(String.raw`^insert\s+into\s+${named}\s*(?:\(([^()]*)\))?\s*values\s*(.+?)${returning}`, 'is'), insert],
  [new RegExp(String.raw`^update\s+${named}\s+set\s+(.+?)${where}${returning}`, 'is'), update],
  [new RegExp(String.raw`^delete\s+from\s+${named}${where}${returning}`, 'is'), remove],
  [
    /^truncate\s+(?:table\s+)?([\w".]+)/i,
    (match, values, session) => {
      const reply = remove(match, values, session)
      return reply !== null && 'error' in reply ? reply : done('TRUNCATE TABLE')
    },
  ],
  [/^set\s+(?:session\s+characteristics|(?:local\s+)?transaction)\b/i, () => done('SET')],
  [/^set\s+(?:session\s+)?(local\s+)?(role|session\s+authorization)\s+(\S+)$/i, setRole],
  [
    /^set\s+(?:session\s+)?(local\s+)?time\s+zone\s+(.+)$/i,
    (match, _, session) => set(session, 'timezone', part(match, 2), match[1]),
  ],
  [
    /^set\s+(?:session\s+)?(local\s+)?([\w.]+)\s*(?:=|\bto\b)\s*(.+)$/is,
    (match, _, session) => set(session, part(match, 2), part(match, 3), match[1]),
  ],
  [/^reset\s+all$/i, (_match, _, session) => (session.resetAll(), done('RESET'))],
  [
    /^reset\s+(session\s+authorization|[\w.]+)$/i,
    (match, _, session) => (session.set(part(match, 1).replace(/\s+/, '_'), null), done('RESET')),
  ],
  [/^show\s+([\w.]+)$/i, (match, _, session) => show(part(match, 1), session)],
  [/^discard\s+all$/i, discardAll],
  [/^declare\s+(\S+)\s+.*?\bcursor\b(.*?)\bfor\s+(.+)$/is, declare],
  [/^(fetch|move)\s+(?:forward\s+|next\s+)?(\d+|all)?\s*(?:from\s+|in\s+)?(\S+)$/i, fetchFrom],
  [/^close\s+(\S+)$/i, (match, _, session) => drop(session.state.cursors, match, 'CLOSE CURSOR', '34000', 'cursor')],
  [/^listen\s+(\S+)$/i, (match, _, session) => (session.state.listen.add(fold(part(match, 1))), done('LISTEN'))],
  [
    /^unlisten\s+(\S+)$/i,
    (match, _, session) => {
      if (match[1] === '*') session.state.listen.clear()
      else session.state.listen.delete(fold(part(match, 1)))
      return done('UNLISTEN')
    },
  ],
  [
    /^notify\s+(\w+|"[^"]+")(?:\s*,\s*(.+))?$/is,
    (match, values, session) => {
      notify(session, fold(part(match, 1)), String(values.of(match[2] ?? "''")))
      return done('NOTIFY')
    },
  ],
  [
    /^prepare\s+(\w+|"[^"]+").*?\bas\b/is,
    (match, _, session) => (session.prepared.add(fold(part(match, 1))), done('PREPARE')),
  ],
  [
    /^deallocate\s+(?:prepare\s+)?(\S+)$/i,
    (match, _, session) => drop(session.prepared, match, 'DEALLOCATE', '26000', 'prepared statement'),
  ],
  [
    /^create\s+temp(?:orary)?\s+table\s+(?:if\s+not\s+exists\s+)?([\w".]+)/i,
    (match, _, session) => {
      session.state.temp.add(fold(part(match, 1)))
      return done('CREATE TABLE')
    },
  ],
  [
    /^vacuum\b/i,
    (_match, _, session) =>
      session.transaction.explicit ? refused('25001', 'VACUUM cannot run inside a transaction block') : done('VACUUM'),
  ],
  [/^(create|drop|alter)\s+(\w+)/i, (match) => done(`${match[1]} ${match[2]}`.toUpperCase())],
  [/^(lock|analyze|comment|grant|revoke|do|call|checkpoint)\b/i, (match) => done(part(match, 1).toUpperCase())],
]

function done(tag: string): Rows {
  return { rows: [], tag, count: -1 }
}

function answer(tag: string, rows: readonly FakeRow[]): Rows {
  return { rows, tag, count: rows.length }
}

/** The reply, unless a value could not be had: then the error it caused, or null for text that is no fake SQL. */
function whole(values: Evaluation, make: () => Reply): Reply | null {
  const reply = make()
  return values.error ?? (values.unknown ? null : reply)
}

function series(match: RegExpExecArray, values: Evaluation): Reply | null {
  return whole(values, () => {
    const [from, to] = [Number(values.of(part(match, 2))), Number(values.of(part(match, 3)))]
    const name = match[4] ?? 'generate_series'
    const numbers = Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => ({ [name]: from + index }))
    const items = match[1]?.replace(/\s+from\s+$/i, '') ?? '*'
    return items === '*' ? answer('SELECT', numbers) : project(values, items, numbers, 'SELECT')
  })
}

function selectFrom(match: RegExpExecArray, values: Evaluation, session: FakeSession): Reply | null {
  return whole(values, () => {
    let rows = seen(match[2], session).filter((row) => values.holds(match[3], row))
    const by = match[4]
    if (by !== undefined) rows = rows.toSorted((a, b) => compare(a[by], b[by]) * (match[5] === undefined ? 1 : -1))
    if (match[6] !== undefined) rows = rows.slice(0, Number(values.of(match[6])))
    return project(values, part(match, 1), rows, 'SELECT')
  })
}

function insert(match: RegExpExecArray, values: Evaluation, session: FakeSession): Reply | null {
  return writing('INSERT', match[4], values, session, () => {
    const names = match[2] === undefined ? null : cut(match[2], ',').map(fold)
    return cut(part(match, 3), ',').map((tuple) => {
      const items = cut(tuple.trim().replace(/^\(|\)$/g, ''), ',').map((item) => values.of(item))
      const added = Object.fromEntries(items.map((item, i) => [names?.[i] ?? `v${i === 0 ? '' : i + 1}`, item]))
      return { table: fold(part(match, 1)), removed: null, added }
    })
  })
}

function update(match: RegExpExecArray, values: Evaluation, session: FakeSession): Reply | null {
  return writing('UPDATE', match[4], values, session, () =>
    seen(match[1], session)
      .filter((row) => values.holds(match[3], row))
      .map((row) => {
        const pairs = cut(part(match, 2), ',').map((pair): [string, unknown] => {
          const at = pair.indexOf('=')
          return [fold(pair.slice(0, at)), values.of(pair.slice(at + 1), row)]
        })
        return { table: fold(part(match, 1)), removed: row, added: { ...row, ...Object.fromEntries(pairs) } }
      }),
  )
}

function remove(match: RegExpExecArray, values: Evaluation, session: FakeSession): Reply | null {
  return writing('DELETE', match[3], values, session, () =>
    seen(match[1], session)
      .filter((row) => values.holds(match[2], row))
      .map((row) => ({ table: fold(part(match, 1)), removed: row, added: null })),
  )
}

function writing(
  tag: string,
  items: string | undefined,
  values: Evaluation,
  session: FakeSession,
  make: () => Change[],
): Reply | null {
  if (session.transaction.readOnly) return refused('25006', `cannot execute ${tag} in a read-only transaction`)
  let changes: Change[] = []
  const reply = whole(values, () => {
    changes = make()
    const rows = changes.map(({ removed, added }) => added ?? removed ?? {})
    return items === undefined ? { rows: [], tag, count: rows.length } : project(values, items, rows, tag)
  })
  if (reply !== null && !('error' in reply)) session.transaction.changes.push(...changes)
  return reply
}

function seen(table: string | undefined, session: FakeSession): FakeRow[] {
  const name = fold(table ?? '')
  return name === 'pg_settings' ? session.shown : session.server.rows(name, session.transaction.changes)
}

function project(values: Evaluation, items: string, rows: readonly FakeRow[], tag: string): Rows {
  const count = /^count\(\*\)(?:::\w+)?(?:\s+(?:as\s+)?(\w+))?$/i.exec(items.trim())
  if (count !== null) return answer(tag, [{ [count[1] ?? 'count']: rows.length }])
  return items.trim() === '*' ? answer(tag, rows) : values.project(items, rows, tag)
}

function setRole(match: RegExpExecArray, _: Evaluation, session: FakeSession): Reply {
  const value = unquote(part(match, 3))
  const none = /^(?:none|default)$/i.test(value)
  return set(session, part(match, 2).replace(/\s+/, '_'), none ? 'default' : value, match[1])
}

function set(session: FakeSession, name: string, value: string, local: string | undefined): Reply {
  if (local !== undefined && !session.transaction.explicit) {
    session.notice('25P01', 'SET LOCAL can only be used in transaction blocks')
  }
  session.set(name, /^default$/i.test(value.trim()) ? null : unquote(value), local !== undefined)
  return done('SET')
}

function show(name: string, session: FakeSession): Reply {
  const value = session.setting(name)
  if (value === undefined) return refused('42704', `unrecognized configuration parameter "${name}"`)
  return { ...answer('SHOW', [{ [name.toLowerCase()]: value }]), count: -1 }
}

function discardAll(_match: RegExpExecArray, _: Evaluation, session: FakeSession): Reply {
  session.resetAll()
  for (const role of ['role', 'session_authorization']) session.set(role, null)
  const { temp, listen, cursors } = session.state
  for (const held of [temp, listen, cursors, session.locks, session.prepared]) held.clear()
  return done('DISCARD ALL')
}

function declare(match: RegExpExecArray, values: Evaluation, session: FakeSession): Reply | null {
  const hold = /\bwith\s+hold\b/i.test(part(match, 2))
  if (!hold && !session.transaction.explicit) {
    return refused('25P01', 'DECLARE CURSOR can only be used in transaction blocks')
  }
  const query = part(match, 3)
  const reply = runStatement(query, values.params, session) ?? session.server.answer(query, values.params, session)
  if (reply === null || 'error' in reply) return reply
  session.state.cursors.set(fold(part(match, 1)), { reply, hold, at: 0 })
  return done('DECLARE CURSOR')
}

function fetchFrom(match: RegExpExecArray, _: Evaluation, session: FakeSession): Reply {
  const name = fold(part(match, 3))
  const cursor = session.state.cursors.get(name)
  if (cursor === undefined) return refused('34000', `cursor "${name}" does not exist`)
  const many = match[2] === undefined ? 1 : /^all$/i.test(match[2]) ? Infinity : Number(match[2])
  const rows = cursor.reply.rows.slice(cursor.at, cursor.at + many)
  cursor.at += rows.length
  const tag = part(match, 1).toUpperCase()
  return { ...cursor.reply, rows: tag === 'MOVE' ? [] : rows, tag, count: rows.length }
}

function drop(
  held: { clear(): void; delete(name: string): boolean },
  match: RegExpExecArray,
  tag: string,
  code: string,
  what: string,
): Reply {
  const name = fold(part(match, 1))
  if (name === 'all') held.clear()
  else if (!held.delete(name)) return refused(code, `${what} "${name}" does not exist`)
  return done(tag)
}
