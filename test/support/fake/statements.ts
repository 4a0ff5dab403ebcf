// The fake SQL: the few statements the fake server understands by itself, each by one pattern. What is not here goes to
// the session of the driver and the `answer` function of the test. Names are folded by dropping quotes and `public.`; casts are dropped.
//
// select 1, 'x' as a, $1::int                     also set_config, current_setting, current_user, pg_backend_pid,
//                                                 pg_notify, pg_advisory_lock, pg_advisory_unlock, pg_sleep(seconds)
// select * | a, b | count(*) from t [where a = $1 [and b <> 2 …]] [order by a] [limit n] [for update]
//                                                 pg_settings has the settings of the session, all with source 'session'
// select … from generate_series(1, $1) [as n]     also: select generate_series(1, 10)
// insert into t [(a, b)] values ($1, 'x'), (…) [returning …]    without columns they are v, v2, v3, …
// update t set a = a + 1 [where …] [returning …]  delete from t [where …] [returning …]   truncate t
// set [local] a = b, set role …, set session authorization …, reset a | all, show a, discard all
// listen, unlisten, notify, prepare x as …, deallocate x | all, create temp table t …, notice <text>
// fail <sqlstate> [message], sleep [milliseconds: without, until cancelled]
// create, drop, alter, lock, analyze, vacuum, …   are answered and do nothing
import { done, type FakeRow, type Reply, type Rows } from '../../../src/driver/fake/session.ts'
import type { Change, SqlSession } from './session.ts'
import { compare, cut, Evaluation, fold, part, refused, unquote } from './values.ts'

/** Runs one statement that is no transaction control; null: it is no fake SQL. */
export function runStatement(text: string, params: readonly unknown[], session: SqlSession): Reply | null {
  for (const [pattern, run] of statements) {
    const match = pattern.exec(text)
    const reply = match === null ? null : run(match, new Evaluation(params, session), session)
    if (reply !== null) return reply
  }
  return null
}

type Run = (match: RegExpExecArray, values: Evaluation, session: SqlSession) => Reply | null

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
    /^set\s+(?:session\s+)?(local\s+)?([\w."]+)\s*(?:=|\bto\b)\s*(.+)$/is,
    (match, _, session) => set(session, part(match, 2).replaceAll('"', ''), part(match, 3), match[1]),
  ],
  [/^reset\s+all$/i, (_match, _, session) => (session.resetAll(), done('RESET'))],
  [
    /^reset\s+(session\s+authorization|[\w."]+)$/i,
    (match, _, session) => (session.set(part(match, 1).replace(/\s+/, '_').replaceAll('"', ''), null), done('RESET')),
  ],
  [/^show\s+([\w.]+)$/i, (match, _, session) => show(part(match, 1), session)],
  [/^discard\s+all$/i, (_match, _, session) => (session.discardAll(), done('DISCARD ALL'))],
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
      session.notes.push({ channel: fold(part(match, 1)), payload: String(values.of(match[2] ?? "''")) })
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
      session.status !== 'idle' ? refused('25001', 'VACUUM cannot run inside a transaction block') : done('VACUUM'),
  ],
  [/^(create|drop|alter)\s+(\w+)/i, (match) => done(`${match[1]} ${match[2]}`.toUpperCase())],
  [/^(lock|analyze|comment|grant|revoke|do|call|checkpoint)\b/i, (match) => done(part(match, 1).toUpperCase())],
]

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

function selectFrom(match: RegExpExecArray, values: Evaluation, session: SqlSession): Reply | null {
  return whole(values, () => {
    let rows = seen(match[2], session).filter((row) => values.holds(match[3], row))
    const by = match[4]
    if (by !== undefined) rows = rows.toSorted((a, b) => compare(a[by], b[by]) * (match[5] === undefined ? 1 : -1))
    if (match[6] !== undefined) rows = rows.slice(0, Number(values.of(match[6])))
    return project(values, part(match, 1), rows, 'SELECT')
  })
}

function insert(match: RegExpExecArray, values: Evaluation, session: SqlSession): Reply | null {
  return writing('INSERT', match[4], values, session, () => {
    const names = match[2] === undefined ? null : cut(match[2], ',').map(fold)
    return cut(part(match, 3), ',').map((tuple) => {
      const items = cut(tuple.trim().replace(/^\(|\)$/g, ''), ',').map((item) => values.of(item))
      const added = Object.fromEntries(items.map((item, i) => [names?.[i] ?? `v${i === 0 ? '' : i + 1}`, item]))
      return { table: fold(part(match, 1)), removed: null, added }
    })
  })
}

function update(match: RegExpExecArray, values: Evaluation, session: SqlSession): Reply | null {
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

function remove(match: RegExpExecArray, values: Evaluation, session: SqlSession): Reply | null {
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
  session: SqlSession,
  make: () => Change[],
): Reply | null {
  if (session.readOnly) return refused('25006', `cannot execute ${tag} in a read-only transaction`)
  let changes: Change[] = []
  const reply = whole(values, () => {
    changes = make()
    const rows = changes.map(({ removed, added }) => added ?? removed ?? {})
    return items === undefined ? { rows: [], tag, count: rows.length } : project(values, items, rows, tag)
  })
  if (reply !== null && !('error' in reply)) session.changes.push(...changes)
  return reply
}

function seen(table: string | undefined, session: SqlSession): FakeRow[] {
  const name = fold(table ?? '')
  return name === 'pg_settings' ? session.shown : session.store.rows(name, session.changes)
}

function project(values: Evaluation, items: string, rows: readonly FakeRow[], tag: string): Rows {
  const count = /^count\(\*\)(?:::\w+)?(?:\s+(?:as\s+)?(\w+))?$/i.exec(items.trim())
  if (count !== null) return answer(tag, [{ [count[1] ?? 'count']: rows.length }])
  return items.trim() === '*' ? answer(tag, rows) : values.project(items, rows, tag)
}

function setRole(match: RegExpExecArray, _: Evaluation, session: SqlSession): Reply {
  const value = unquote(part(match, 3))
  const none = /^(?:none|default)$/i.test(value)
  return set(session, part(match, 2).replace(/\s+/, '_'), none ? 'default' : value, match[1])
}

function set(session: SqlSession, name: string, value: string, local: string | undefined): Reply {
  if (local !== undefined && session.status === 'idle') {
    session.notice('25P01', 'SET LOCAL can only be used in transaction blocks')
  }
  session.set(name, /^default$/i.test(value.trim()) ? null : unquote(value), local !== undefined)
  return done('SET')
}

function show(name: string, session: SqlSession): Reply {
  const value = session.setting(name)
  if (value === undefined) return refused('42704', `unrecognized configuration parameter "${name}"`)
  return { ...answer('SHOW', [{ [name.toLowerCase()]: value }]), count: -1 }
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
