// The works of scopes, handles, transactions, cursors, locks and channels: loaded with the first of them, so that a process that only
// runs statements does without.
import { Ear } from '../client/ear.ts'
import { listen, notify } from '../client/listen.ts'
import { lock } from '../client/lock.ts'
import { askPosition, reached } from '../hosts/position.ts'
import { openReads, readsAlone } from '../hosts/route.ts'
import { lend } from '../slot/control.ts'
import { checkLendable, childOf } from '../slot/queues.ts'
import { Slot } from '../slot/slot.ts'
import { beginManual } from '../transaction/begin.ts'
import { openHome } from '../transaction/open-home.ts'
import { stateOf } from '../transaction/ended.ts'
import { commit, finish, hooksFailed, rollback, windUp } from '../transaction/ending.ts'
import { runManaged } from '../transaction/managed.ts'
import type { FirstWorks, Works } from '../works.ts'
import { works } from './works.ts'

const ofScopes: Omit<Works, Exclude<keyof FirstWorks, 'whole'>> = {
  whole: true,
  Ear,
  Slot,
  askPosition,
  reached,
  openReads,
  readsAlone,
  lend,
  runManaged,
  beginManual,
  openHome,
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

/** The works of all engines, whole from now on. */
export function wholeWorks(): Works {
  return Object.assign(works, ofScopes)
}
