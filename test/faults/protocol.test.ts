/**
 * Answers of a server with one fault: a message that is missing, doubled, out of place or of another type. The reader of each
 * driver gives the exact answer or ends the connection; never another answer, and nobody waits for ever.
 *
 * `RUNS=100000` plays more of them.
 */

import { beforeAll, expect, test } from 'vitest'
import { type End, record, type Recording, recordTogether, replay, type Unit } from '../support/conversation.ts'
import { freshDatabase } from '../support/database.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { random } from '../support/junk.ts'

const one = (text: string, params?: readonly unknown[], maxRows = 0): Unit => [
  params === undefined ? { text, maxRows } : { text, params, maxRows, named: true },
]
const several = (...texts: string[]): Unit => texts.map((text) => ({ text }))

/** Units, and the types of messages whose number, or whose order, cannot be checked in them: others are another valid answer. */
const said: readonly (readonly [unit: Unit, loose?: string])[] = [
  [one('create table t (id int primary key, name text)')],
  [one('select 1 as a')],
  [one('select $1::int + 1 as b', [1])],
  [one('select $1::int + 1 as b', [2])],
  [one('select $1::int[] as list', [[1, 2, 3]])],
  [one('select n, n::text as name from generate_series(1, 5) n')],
  [one('select $1::int[] as list', [[4]])],
  [one('select n from generate_series(1, 5) n', undefined, 1)],
  [one('select n from generate_series(1, 2) n', undefined, 2)],
  [one('select n from generate_series(1, 1) n', undefined, 2)],
  [one('select 1/0')],
  [one('select nonsense')],
  [one('select from generate_series(1, 3)')],
  [one("insert into t values (1, 'a'), (2, 'b') returning id, name")],
  [several("insert into t values (3, 'c')", "insert into t values (4, 'd')", "insert into t values (5, 'e')")],
  [several("update t set name = 'x' where id < 3 returning id", 'delete from t where id > 3 returning id, name')],
  [several("insert into t values (6, 'f')", 'select 1/0', "insert into t values (7, 'g')")],
  [several('begin', "insert into t values (8, 'h')")],
  [several('select count(*) from t')],
  [several('commit')],
  [several('begin')],
  [one('select 1/0')],
  [one('select 1')],
  [several('commit')],
  [several('begin', 'declare c cursor for select n from generate_series(1, 5) n')],
  [one('fetch 2 from c')],
  [one('fetch all from c')],
  [several('close c', 'rollback')],
  [one("do $$ begin raise notice 'one'; raise notice 'two'; end $$")],
  [one('')],
  [one("set application_name = 'said'")],
  [several('listen heard', "notify heard, 'payload'")],
  [one('copy (select 1) to stdout')],
  [one('copy t from /* nobody */ stdin')],
  [one('select 1 as a; select 2 as b, 3 as c'), 'C'],
  [one("set application_name = 'again'; select 3 as d"), 'C'],
  [one('select 4 as e; select 1/0'), 'C'],
  [one("select id from t; update t set name = 'y'; select id, name from t order by id"), 'CD'],
  [one("create rule also as on insert to t do also select id from t; insert into t values (9, 'i'); select 5"), 'CD'],
  [one('show datestyle'), 'D'],
  [one('explain select 1'), 'D'],
  [one('values (1), (2)')],
  [one('select $1::text as last', ['Grün'])],
]
const units = said.map(([unit]) => unit)

interface Message {
  readonly type: string
  readonly body: Buffer
}

const types = '123ACDEGHIKNRSTVWZcdnstv'

function split(bytes: Buffer): Message[] {
  const messages: Message[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    messages.push({ type: String.fromCharCode(bytes[at] as number), body: bytes.subarray(at + 5, end) })
    at = end
  }
  return messages
}

function join(messages: readonly Message[]): Buffer {
  return Buffer.concat(
    messages.map(({ type, body }) => {
      const head = Buffer.from([type.charCodeAt(0), 0, 0, 0, 0])
      head.writeInt32BE(body.length + 4, 1)
      return Buffer.concat([head, body])
    }),
  )
}

/** The messages with one fault; null when that is another valid answer, or the same one. */
function spoil(messages: readonly Message[], loose: string, roll: (below: number) => number): Message[] | null {
  if (messages.length === 0) return null
  const at = roll(messages.length)
  const chosen = messages[at] as Message
  const spoilt = [...messages]
  const kind = roll(4)
  if (loose.includes(chosen.type) && (kind === 2 || chosen.type === 'D')) return null
  if (kind === 0) spoilt.splice(at, 1)
  else if (kind === 1) spoilt.splice(at, 0, chosen)
  else if (kind === 2) {
    spoilt.splice(at, 1)
    const to = roll(messages.length)
    const between = messages.slice(Math.min(at, to), Math.max(at, to) + 1)
    // Rows have no order of their own.
    if (between.every(({ type }) => type === 'D')) return null
    spoilt.splice(to, 0, chosen)
  } else {
    const type = types[roll(types.length)] as string
    // An error may come instead of a notice, and a row may be missing where they are not counted.
    if (type === chosen.type || (chosen.type === 'N' && type === 'E')) return null
    spoilt[at] = { type, body: chosen.body }
  }
  return join(spoilt).equals(join(messages)) ? null : spoilt
}

let recording: Recording

beforeAll(async () => {
  await using database = await freshDatabase()
  recording = await record(database.url, units)
})

const inPieces =
  (roll: (below: number) => number) =>
  (bytes: Buffer): Buffer[] => {
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      const size = roll(4) === 0 ? 1 + roll(9) : roll(2) === 0 ? 1 + roll(bytes.length) : bytes.length
      pieces.push(bytes.subarray(at, at + size))
      at += size
    }
    return pieces
  }

test.each(['pg', 'pglite', 'socket'] as const)('answers are exact in whatever pieces they come: %s', async (reader) => {
  expect(recording.ends.flat()).not.toContain('pending')
  expect(recording.ends.flat()).not.toContain('gone')
  for (let seed = 0; seed < 30; seed++) {
    const { login, answers, ends } = recording
    expect(await replay(units, { reader, login, answers: answers.flat(), cut: inPieces(random(seed)) })).toEqual(ends)
  }
})

const wanted = sample({ once: 600, matrix: 3000, soak: 50_000 }) / 2

test.each(['pg', 'pglite', 'socket'] as const)(
  'with one fault in it an answer is exact, or the connection is over: %s',
  async (reader) => {
    const roll = random(sampleSeed(1))
    for (let played = 0; played < wanted;) {
      const from = roll(units.length)
      const unit = from + roll(Math.min(3, units.length - from))
      const answers = recording.answers.map((parts) => [...parts])
      const part = roll(answers[unit]?.length ?? 0)
      const messages = spoil(split(answers[unit]?.[part] ?? Buffer.alloc(0)), said[unit]?.[1] ?? '', roll)
      if (messages === null) continue
      ;(answers[unit] as Buffer[])[part] = join(messages)
      const last = Math.min(unit + 3, units.length)
      const ends = await replay(units.slice(0, last), {
        reader,
        login: recording.login,
        answers: answers.slice(0, last).flat(),
        cut: inPieces(roll),
      })
      const wrong = ends.findIndex((each, i) => !fits(each, recording.ends[i] ?? []))
      const spoilt = messages.map(({ type }) => type).join('')
      if (wrong >= 0) expect({ unit, wrong, spoilt, saw: ends[wrong] }).toEqual(recording.ends[wrong])
      played++
    }
  },
  (1_000 + wanted) * 100,
)

/** Units of which all is sent at once, and that leave nothing behind in a session. */
const pipelined: readonly Unit[] = [
  one('select $1::int + 1 as b', [1]),
  one('select $1::int + 1 as b', [2]),
  one('select n, n::text as name from generate_series(1, 5) n'),
  one('select n, n::text as name from generate_series(1, $1) n', [3]),
  one('select 1/0'),
  one('select n, n::text as name from generate_series(1, $1) n', [2]),
  one('select nonsense'),
  one('select $1::int8 as b, true as t, now() is null as f', [3]),
  one('select from generate_series(1, 3)'),
  several('select 1 as one', 'select 2 as two'),
  one('select n from generate_series(1, 5) n', undefined, 1),
  several('select 1 as one', 'select 1/0', 'select 2 as two'),
  one('select $1::int8 as b, true as t, now() is null as f', [4]),
  one('values (1), (2)'),
  one('select $1::text as last', ['Grün']),
  one('select $1::int + 1 as b', [5]),
]

const inFlight = 8

test(
  'with one fault in it an answer is exact, or the connection is over: eight units in flight',
  async () => {
    await using database = await freshDatabase()
    const { answers, ends, login } = await recordTogether(database.url, pipelined, inFlight)
    expect(answers.length).toBe(pipelined.length)
    const roll = random(sampleSeed(2))
    const play = (given: readonly Buffer[]): Promise<End[][]> =>
      replay(pipelined, { reader: 'socket', together: inFlight, login, answers: given, cut: inPieces(roll) })
    expect(await play(answers.flat())).toEqual(ends)
    for (let played = 0; played < wanted;) {
      const given = answers.flat()
      const unit = roll(given.length)
      const messages = spoil(split(given[unit] ?? Buffer.alloc(0)), '', roll)
      // An error that comes before ReadyForQuery is the unit's own: a deferred constraint fails so.
      const next = String.fromCharCode(given[unit + 1]?.[0] ?? 0)
      if (messages === null || (messages.at(-1)?.type !== 'Z' && next === 'E')) continue
      given[unit] = join(messages)
      const seen = await play(given)
      const wrong = seen.findIndex((each, i) => !fits(each, ends[i] ?? []))
      const spoilt = messages.map(({ type }) => type).join('')
      if (wrong >= 0) expect({ unit, wrong, spoilt, saw: seen[wrong] }).toEqual(ends[wrong])
      played++
    }
  },
  (1_000 + wanted) * 100,
)

/** Each operation ended as it did on the server, or with its connection. */
function fits(ends: readonly End[], exact: readonly End[]): boolean {
  return ends.every((end, i) => end === 'gone' || JSON.stringify(end) === JSON.stringify(exact[i]))
}
