// The settings with which queries and objects were made. A query that is made inside of a scope with settings runs with those settings
// or not at all: with others it would read and write the rows of somebody else. An object made from a row knows its database too.
import { TransactionEndedError, TransactionStateError } from '../../errors/index.ts'
import { sameSettings } from '../../sql/settings.ts'
import type { MadeWith, Statement } from '../../sql/statement.ts'
import { currentChain, type Link, push } from '../context/chain.ts'
import { type Enclosing, Frame, type Handle, type Settings } from '../context/frame.ts'
import { onPath, pathTaken, withoutPath } from '../context/place.ts'
import type { EngineCore } from '../core.ts'
import { isPlain } from '../../util/options.ts'

/** An executor, as this file knows it. */
interface Sender {
  settingsHere(): Settings | null
  handleHere(): Handle | null
}

type Made = Pick<Statement, 'madeOn' | 'madeWith'>

/** Where a row was read or created. */
export interface Origin {
  readonly engine: EngineCore
  readonly settings: MadeWith | null
}

/** The methods of an object made from a row that wants to know its origin. */
export interface Originated {
  /** Whether that is worth remembering. */
  strays(origin: Origin): boolean
  remember(origin: Origin): void
}

/** Gives what an object wants to know of its origin. A registered symbol: two copies of Genever agree on it. */
export const originated: unique symbol = Symbol.for('genever.originated')

/** @throws {TransactionEndedError} when the transaction in whose frame something was made has ended. */
export function checkMadeIn(made: Enclosing | null): void {
  if (made !== null && !made.taking) throw new TransactionEndedError(made.endedMessage())
}

/**
 * The chain in which a query of `executor` runs with what it was made with: on the path of the schema it was made in.
 * @throws {TransactionStateError} when it was made where another database was meant, or with other settings than statements of
 *   `executor` have here.
 */
export function chainOfMade(
  { madeOn, madeWith }: Made,
  engine: EngineCore,
  executor: Sender,
  chain: Link | undefined,
): Link | undefined {
  if (madeOn !== undefined && !madeOn.runsOn(engine)) throw madeElsewhere(engine)
  const settings = madeWith === undefined ? null : settingsOfMade(madeWith, executor, 'This query')
  return settings === null ? chain : chainWith(settings, engine, chain)
}

function madeElsewhere(engine: EngineCore): TransactionStateError {
  return new TransactionStateError(
    `This query was made for another database than ${engine.name}, on which it was to run. Await the query itself, which runs it on its ` +
      'own database, or make it again here.',
  )
}

/** All the settings it has to run with; null: those that statements of `executor` have. */
export function settingsOfMade(made: MadeWith, executor: Sender, subject: string): Settings | null {
  const here = executor.settingsHere()
  if (sameSettings(here, made)) return null
  const path = pathTaken(made)
  if (path !== null && sameSettings(withoutPath(here), withoutPath(made)) && usesCallersSettings(executor.handleHere()))
    return onPath(here, path)
  const names = Object.keys(made)
    .map((name) => JSON.stringify(name))
    .join(', ')
  throw new TransactionStateError(
    `${subject} was made inside of a scope with settings (${names}), and this code runs ${here === null ? 'without settings' : 'with other settings'}. ` +
      'Run it inside of that scope, or make it again here.',
  )
}

/** Whether statements through a handle run with the settings of the code that uses it, and not with those it was made in. */
export function usesCallersSettings(handle: Handle | null): boolean {
  if (handle === null || handle.overlay === null) return true
  for (let link = currentChain(); link !== undefined; link = link.next) if (link.frame === handle.overlay) return true
  return false
}

/** The chain of code whose statements have exactly these settings. */
export function chainWith(settings: Settings, engine: EngineCore, chain: Link | undefined): Link {
  return push(new Frame('overlay', engine, null, null, null, settings), chain)
}

/**
 * Lets the objects among `rows` know where they come from, in lists and as members too. If the first object is plain data, all are.
 * @param decoded They were made of the driver's rows, in any way. Else they are all alike.
 */
export function markOrigin(
  rows: readonly unknown[],
  engine: EngineCore,
  settings: MadeWith | null,
  decoded: boolean,
): void {
  const first = decoded ? rows.find(isObject) : rows[0]
  if (!isObject(first) || (isPlain(first) && !(decoded && Object.values(first).some(isOriginated)))) return
  const origin: Origin = { engine, settings }
  if (!decoded && isOriginated(first) && !first[originated].strays.call(first, origin)) return
  let made: unknown
  let strays = false
  const mark = (value: unknown, member: boolean): void => {
    if (Array.isArray(value)) for (const each of value as readonly unknown[]) mark(each, member)
    else if (isOriginated(value)) {
      const { [originated]: asked } = value
      if (made !== value.constructor) {
        made = value.constructor
        strays = asked.strays.call(value, origin)
      }
      if (strays) asked.remember.call(value, origin)
    } else if (!member && isPlain(value)) for (const each of Object.values(value)) mark(each, true)
  }
  for (const row of rows) mark(row, false)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isOriginated(value: unknown): value is { readonly [originated]: Originated } {
  return isObject(value) && originated in value
}
