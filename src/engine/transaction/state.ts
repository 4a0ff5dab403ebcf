// The life of a transaction: one state, and one function that says what an event makes of it. Nothing else assigns it.
// Managed and manual transactions, and those of cursors, live by the same table. An event that a row does not have changes
// nothing, so no order of events gives two ends to a transaction.
//
//   at                    takes                          has on the server
//   idle                  new work                       nothing: BEGIN or SAVEPOINT travels with the first statement
//   beginning             new work                       BEGIN, not answered
//   open                  new work                       a transaction
//   returned:…            what was issued before         as idle, beginning and open
//   committing            nothing                        COMMIT, not answered
//   releasing             nothing                        RELEASE, not answered, or not sent yet
//   leaving:…             nothing, it is rolled back     as idle, beginning and open
//   asking                nothing                        COMMIT, whose answer did not come; the server is asked about it
//   committed, rolled_back, unknown                      it has ended
//
//   event                 from                           to
//   sent                  idle                           beginning                  the same below returned:
//   begun                 beginning                      open                       the same below returned: and leaving:
//   unbegun               beginning                      idle, broken if it failed  the same below returned: and leaving:
//   returned              idle, beginning, open          returned:…                 the callback returned, or commit() was called
//   commit, sound         returned:idle                  committed
//                         returned:beginning, :open      committing; a savepoint: releasing
//   commit, spoiled       returned:…                     leaving:…
//   rollback              every one that takes work      leaving:…
//                         releasing                      leaving:open, broken: leaving:idle
//   refused               committing                     returned:open              COMMIT could not be written
//   lost                  beginning, open                idle, broken               the same below returned: and leaving:
//                         idle, committing, releasing    the same, broken
//   server-ended          open                           idle, broken               the same below returned:; leaving: not broken
//                         releasing                      the same, broken
//   late                  returned:…, leaving:…          the same, broken           time ran out, or a signal aborted
//   raised                idle, beginning, open          the same, with the exit
//   failed                every one but the ends         the same, spoiled
//   stale                 every one but the ends         the same                   the server takes no writes: closed at the end
//   unanswered            committing                     asking if it can be asked, else unknown
//   committed             committing, releasing, asking  committed
//   rolled_back           every one but the ends         rolled_back
//   unknown               committing, asking             unknown
//
// Who wins: a failed statement, a loss and a time that ran out beat a commit that was not sent (`commit, spoiled`). Once COMMIT
// has been sent only its answer counts, then what the server says when it is asked. A rollback that was raised beats a commit
// that was raised; of two of a kind the first counts. The first failure is the one that the caller gets. An end is an end.
import type { Failure } from '../../driver/driver.ts'
import type { Compiled } from '../../sql/compiled.ts'

type OnServer = 'idle' | 'beginning' | 'open'
export type Ended = 'committed' | 'rolled_back' | 'unknown'
export type At =
  | OnServer
  | `returned:${OnServer}`
  | `leaving:${OnServer}`
  | 'committing'
  | 'releasing'
  | 'asking'
  | Ended

/** A statement that failed inside; none when BEGIN or the connection did. */
export interface Spoiler {
  readonly failure: Failure
  readonly stmt: Compiled
}

/** The failure that spoiled a transaction, with its statement, if one failed and is known. */
export interface Spoiling {
  readonly failure: Failure
  readonly stmt: Compiled | null
}

/** The signal that leaves a transaction early. */
export interface Exit extends Error {
  readonly commit: boolean
  readonly value: unknown
  isFor(transaction: object): boolean
}

/** The events on its way that count at its end. Each is set once, by the event that came first. */
export interface Past {
  /** The first statement that failed inside. */
  readonly first: Failure | null
  /** The first statement that failed after the callback had returned. */
  readonly afterReturn: Failure | null
  /** The first that failed on the server: nothing after it can be committed. */
  readonly spoiler: Spoiler | null
  /** Why nothing can run in it any more although it has not ended: BEGIN failed, the connection died, the server ended it. */
  readonly broken: Failure | null
  readonly exit: Exit | null
  /** Why the answer of COMMIT did not come. */
  readonly unanswered: Failure | null
  /** Its server takes no writes: the connection is closed at the end. */
  readonly stale: Failure | null
}

export interface State {
  readonly at: At
  readonly past: Past
  /** It takes new work. */
  readonly takes: boolean
  /** It does, and nothing has happened to it. */
  readonly clear: boolean
  /** Neither BEGIN nor SAVEPOINT has been sent. */
  readonly unsent: boolean
  /** It is open on the server, and COMMIT has not been sent. */
  readonly begun: boolean
  /** The states that followed so far on events which are a name alone; empty where something has happened. */
  readonly after: Following
}

interface Following {
  readonly outermost: Map<Event, State>
  readonly nested: Map<Event, State>
}

/** `spoils`: the server runs nothing behind it. `askable`: the number of the transaction is known. */
export type Event =
  | 'sent'
  | 'begun'
  | 'returned'
  | 'commit'
  | 'rollback'
  | 'refused'
  | Ended
  | { readonly type: 'unbegun'; readonly failure: Failure | null }
  | { readonly type: 'lost' | 'server-ended' | 'late' | 'stale'; readonly failure: Failure }
  | { readonly type: 'unanswered'; readonly failure: Failure; readonly askable: boolean }
  | { readonly type: 'failed'; readonly failure: Failure; readonly stmt: Compiled | null; readonly spoils: boolean }
  | { readonly type: 'raised'; readonly exit: Exit }

type EventName = Extract<Event, string> | Exclude<Event, string>['type']
type Moves = Partial<Record<At, At>>

const onServer = ['idle', 'beginning', 'open'] as const

/** Its state on the server changes in the same way before and after its callback has returned. */
function onTheWay(moves: Partial<Record<OnServer, OnServer>>, alsoLeaving: boolean): Moves {
  const all: Moves = {}
  for (const from of onServer) {
    const to = moves[from]
    if (to === undefined) continue
    all[from] = to
    all[`returned:${from}`] = `returned:${to}`
    if (alsoLeaving) all[`leaving:${from}`] = `leaving:${to}`
  }
  return all
}

function fromAll(to: (from: OnServer) => At, stages: readonly ('' | 'returned:' | 'leaving:')[]): Moves {
  const all: Moves = {}
  for (const stage of stages) for (const from of onServer) all[`${stage}${from}`] = to(from)
  return all
}

const leaves = fromAll((from) => `leaving:${from}`, ['', 'returned:'])
const table: Partial<Record<EventName, Moves>> = {
  sent: onTheWay({ idle: 'beginning' }, false),
  begun: onTheWay({ beginning: 'open' }, true),
  unbegun: onTheWay({ beginning: 'idle' }, true),
  lost: onTheWay({ beginning: 'idle', open: 'idle' }, true),
  'server-ended': onTheWay({ open: 'idle' }, true),
  returned: fromAll((from) => `returned:${from}`, ['']),
  commit: { 'returned:idle': 'committed', 'returned:beginning': 'committing', 'returned:open': 'committing' },
  rollback: { ...leaves, releasing: 'leaving:open' },
  refused: { committing: 'returned:open' },
  unanswered: { committing: 'asking' },
  committed: { committing: 'committed', releasing: 'committed', asking: 'committed' },
  rolled_back: {
    ...fromAll(() => 'rolled_back', ['', 'returned:', 'leaving:']),
    committing: 'rolled_back',
    releasing: 'rolled_back',
    asking: 'rolled_back',
  },
  unknown: { committing: 'unknown', asking: 'unknown' },
}

const nothing: Past = {
  first: null,
  afterReturn: null,
  spoiler: null,
  broken: null,
  exit: null,
  unanswered: null,
  stale: null,
}

const nowhere = (): Following => ({ outermost: new Map(), nested: new Map() })
const unknown = nowhere()

/** Of each state the one to which nothing has happened: without a failure only the first transactions make any, and ask the table. */
const sound = new Map<At, State>()

/** Where every transaction starts. */
export const untouched: State = soundAt('idle')

/** The state after `event`. `nested`: a savepoint, which is released. */
export function advance(state: State, event: Event, nested: boolean): State {
  const after = nested ? state.after.nested : state.after.outermost
  const known = after.get(event)
  if (known !== undefined) return known
  const past = typeof event === 'string' ? state.past : pastAfter(state, event)
  const at = next(state, event, nested)
  if (past === nothing) {
    const follows = soundAt(at)
    if (typeof event === 'string') after.set(event, follows)
    return follows
  }
  return at === state.at && past === state.past ? state : stateOf(at, past)
}

function stateOf(at: At, past: Past): State {
  const takes = takesWork(at)
  return {
    at,
    past,
    takes,
    clear: takes && past === nothing,
    unsent: at === 'idle' || at === 'returned:idle' || at === 'leaving:idle',
    begun: at === 'open' || at === 'returned:open' || at === 'leaving:open' || at === 'releasing',
    after: past === nothing ? nowhere() : unknown,
  }
}

function soundAt(at: At): State {
  let state = sound.get(at)
  if (state === undefined) {
    state = stateOf(at, nothing)
    sound.set(at, state)
  }
  return state
}

function next({ at, past }: State, event: Event, nested: boolean): At {
  const name = typeof event === 'string' ? event : event.type
  const to = table[name]?.[at]
  if (to === undefined) return at
  if (name === 'commit' && isSpoiled(past)) return leaves[at] ?? at
  if (to === 'committing' && nested) return 'releasing'
  if (to === 'asking' && !(event as { readonly askable: boolean }).askable) return 'unknown'
  return at === 'releasing' && name === 'rollback' && past.broken !== null ? 'leaving:idle' : to
}

/** It cannot be committed, even if the server would do it. */
export function isSpoiled({ broken, spoiler, afterReturn }: Past): boolean {
  return broken !== null || spoiler !== null || afterReturn !== null
}

/** The failure that spoiled it; null: only something failed after its callback had returned. */
export function spoilerOf({ broken, spoiler }: Past): Spoiling | null {
  return broken === null || broken === spoiler?.failure ? spoiler : { failure: broken, stmt: null }
}

export function hasEnded(at: At): at is Ended {
  return at === 'committed' || at === 'rolled_back' || at === 'unknown'
}

export function takesWork(at: At): at is OnServer {
  return at === 'open' || at === 'idle' || at === 'beginning'
}

function pastAfter({ at, past }: State, event: Exclude<Event, string>): Past {
  if (hasEnded(at)) return past
  switch (event.type) {
    case 'failed': {
      const { failure, stmt, spoils } = event
      const spoiler = spoils && stmt !== null ? { failure, stmt } : null
      return {
        ...past,
        first: past.first ?? failure,
        spoiler: past.spoiler ?? spoiler,
        afterReturn: past.afterReturn ?? (takesWork(at) ? null : failure),
      }
    }
    case 'unbegun':
      return event.failure === null ? past : { ...past, broken: past.broken ?? event.failure }
    case 'lost':
      return { ...past, broken: past.broken ?? event.failure }
    case 'server-ended':
      return at === 'open' || at === 'returned:open' || at === 'releasing'
        ? { ...past, broken: past.broken ?? event.failure }
        : past
    case 'late':
      return at === 'committing' || at === 'releasing' || at === 'asking'
        ? past
        : { ...past, broken: past.broken ?? event.failure }
    case 'raised':
      return takesWork(at) && (past.exit === null || !event.exit.commit) ? { ...past, exit: event.exit } : past
    case 'unanswered':
      return at === 'committing' ? { ...past, unanswered: event.failure } : past
    case 'stale':
      return { ...past, stale: event.failure }
  }
}
