// Engines of the same database. A statement of one engine inside of a transaction of another runs outside of that transaction, which
// hardly anybody means, so a notice says it. It is checked only while there are several.
import { notice } from '../observe/channels.ts'
import { capturePlace } from '../observe/place.ts'
import type { ResolvedOptions } from '../options/engine-options.ts'
import type { Compiled } from '../sql/compiled.ts'
import type { Link } from './context/chain.ts'
import type { Enclosing } from './context/frame.ts'
import type { EngineCore } from './core.ts'

/** Those that are open on one database. */
export interface Twins {
  count: number
  /** Pairs of places that were told, and statements whose place need not be looked for again. */
  readonly told: Set<string>
}

const known = new Map<string, Twins>()
const mostTold = 1_000

/** Counts an engine among those of its database. */
export function joinTwins({ driver, connection, describe }: ResolvedOptions): Twins {
  // Nobody knows what a driver of users connects to, and what is in memory without a name has nobody else.
  const alone = typeof driver !== 'string' || connection['memory'] === true
  const target = describe()
  const twins = (alone ? undefined : known.get(target)) ?? { count: 0, told: new Set() }
  if (!alone) known.set(target, twins)
  twins.count++
  return twins
}

export function leaveTwins(twins: Twins, { describe }: ResolvedOptions): void {
  if (--twins.count === 0 && known.get(describe()) === twins) known.delete(describe())
}

/** Tells of a statement of `engine` that is issued inside of a transaction of one of the others. */
export function tellOfTwin(engine: EngineCore, chain: Link, stmt: Compiled): void {
  const { told } = engine.twins
  const around = told.size < mostTold ? transactionOf(engine, chain) : null
  if (around === null) return
  const statement = `${String(around.place)} ${stmt.text}`
  if (told.has(statement)) return
  told.add(statement)
  const place = String(capturePlace())
  const pair = `${String(around.place)} ${place}`
  if (told.has(pair)) return
  told.add(pair)
  notice(
    'another-engine',
    `A statement ran outside of the transaction around it: it belongs to another createDb() of the same database (${engine.options.describe()}). ` +
      'Use one db for both, or globalDb().',
    { engine: engine.name, places: [place, `transaction begun at ${String(around.place)}`] },
  )
}

function transactionOf(engine: EngineCore, chain: Link): Enclosing | null {
  for (let link: Link | undefined = chain; link !== undefined; link = link.next) {
    const { kind, transaction, engine: other } = link.frame
    if (kind === 'detached') return null
    if (transaction === null || other === engine || other.twins !== engine.twins) continue
    if (transaction.open) return transaction
  }
  return null
}
