// The effects of the functions and triggers that a statement reaches on its slot: it keeps its connection if they may leave something
// in the session, and the session is reset after it. It is asked when a statement is sent that writes or calls functions other than
// PostgreSQL's.
import type { RawConnection, Failure } from '../../driver/driver.ts'
import type { UsageError } from '../../errors/index.ts'
import { notice } from '../../observe/channels.ts'
import { type Compiled, Dirty, Pin, type RowSpec, shortText } from '../../sql/compiled.ts'
import type { EngineCore } from '../core.ts'
import { engineStatement } from '../query/engine-statement.ts'
import type { EngineOp } from '../query/op.ts'
import { nothingDrawn, sessionMoved } from './frameless.ts'
import type { Holding } from './holding.ts'
import { clock } from '../../util/clock.ts'
import { sendPast } from './sending.ts'

/** Notes what a statement reaches that is about to be sent; an error where it cannot run here. */
export function noteReach(slot: Holding, stmt: Compiled, raw: RawConnection): UsageError | null {
  const { functions } = slot.engine
  if (stmt.cls !== 'read') slot.noteWrite(stmt)
  else if (stmt.leaves !== true && !functions.judgesReads) return null
  if (!functions.active) {
    if (stmt.leaves === true) slot.noteLeftover(stmt)
    return null
  }
  const reach = slot.changes ? null : functions.reachOf(stmt)
  if (functions.noteChange(stmt)) slot.changes = true
  if (reach === null) {
    slot.doubt(stmt)
    raw.dirty |= Dirty.unknown
    return null
  }
  // A function that changes data does so in a read.
  if (reach.once) slot.writes++
  if (reach.asks.length > 0) {
    slot.noteNumbersAsked()
    if (slot.moved && !reach.draws) return sessionMoved(stmt, slot.engine.dialect)
    if (!slot.drew && !reach.draws) return nothingDrawn(stmt, slot.engine.dialect)
  }
  if (reach.draws) slot.noteDraw(stmt)
  if (reach.stateful.length > 0) {
    raw.dirty |= Dirty.unknown
    slot.pin(Pin.functions, reach.stateful[0] as string)
    if (reach.triggered.length > 0) tellOfTrigger(slot.engine, stmt, reach.triggered[0] as string)
  }
  return null
}

function tellOfTrigger({ name, toldPlaces }: EngineCore, stmt: Compiled, by: string): void {
  const key = `trigger ${by}`
  if (toldPlaces.has(key)) return
  toldPlaces.add(key)
  notice(
    'pinned-by-trigger',
    `A scope keeps its connection, and the session is reset after it, because its statement calls ${by}, which may leave something in ` +
      'the session. If it leaves nothing, name it in the option functions.harmless.',
    { engine: name, places: [by, shortText(stmt)] },
  )
}

// Asks the session of a slot whether what keeps its connection is still there, while others wait: a lock may have been given back,
// a temporary table dropped. One trip, on the slot's own connection. What its functions have left is not asked of the session,
// which could not say, but of the catalogue.
const value: RowSpec = { into: 'scalar', make: null, columns: null }

/** The slot is quiet. */
export function ask(slot: Holding): void {
  const { engine, activity } = slot
  slot.askedAt = activity
  slot.asking = true
  const { query } = engine.functions
  const doubted = slot.doubts !== null
  const op = question(
    slot,
    engine.statements.compileInternal(doubted ? query.text : (engine.dialect.stillHeld as string)),
  )
  sendPast(slot, [op])
  void op
    .wait()
    .then(
      () => {
        const [answer] = op.rows
        if (doubted) engine.functions.take(answer as string, query.version)
        else if (slot.activity === activity) slot.pins &= ~Pin.askable | Number(answer)
      },
      (reason: unknown) => {
        const failure = reason as Failure
        if (doubted) engine.functions.take(failure, query.version)
        // A server that was slow once is asked again; one that refuses would refuse again.
        if (failure.kind === 'timeout' && slot.activity === activity) slot.askedAt = -1
      },
    )
    .finally(() => {
      slot.asking = false
      // Behind the catalogue come the pins.
      if (doubted && engine.functions.read && slot.activity === activity) slot.askedAt = -1
      slot.lease?.noteQuiet()
      slot.noteHeld()
    })
}

function question({ engine }: Holding, stmt: Compiled): EngineOp {
  const until = clock.now() + engine.options.resetTimeoutMs
  const op = engineStatement(engine, stmt, { spec: value, until })
  op.begin()
  return op
}
