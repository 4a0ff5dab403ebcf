// The code of scopes, handles, transactions, cursors, locks and channels. It is loaded with the first of them, so that a process that
// only runs statements does without.
import { ListeningConnection } from '../client/listening-connection.ts'
import { listen, notify } from '../client/listen.ts'
import { lock } from '../client/lock.ts'
import { askPosition, reached } from '../hosts/position.ts'
import { openReads, readsAlone } from '../hosts/route.ts'
import { lend } from '../slot/control.ts'
import { checkLendable, childOf } from '../slot/queues.ts'
import { Slot } from '../slot/slot.ts'
import { beginManual } from '../transaction/begin.ts'
import { openCursorTransaction } from '../transaction/open-for-cursor.ts'
import { stateOf } from '../transaction/ended.ts'
import { commit, finish, hooksFailed, rollback, windUp } from '../transaction/ending.ts'
import { runManaged } from '../transaction/managed.ts'
import type { BaseRuntime, EngineRuntime } from '../runtime.ts'
import { runtime } from './base-runtime.ts'

const ofScopes: Omit<EngineRuntime, Exclude<keyof BaseRuntime, 'whole'>> = {
  whole: true,
  ListeningConnection,
  Slot,
  askPosition,
  reached,
  openReads,
  readsAlone,
  lend,
  runManaged,
  beginManual,
  openCursorTransaction,
  checkLendable,
  childOf,
  commit,
  rollback,
  finish,
  hooksFailed,
  windUp,
  stateOf,
  lock,
  listen,
  notify,
}

/** The code of all engines, whole from now on. */
export function wholeRuntime(): EngineRuntime {
  return Object.assign(runtime, ofScopes)
}
