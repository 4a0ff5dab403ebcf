// The works of an engine, put together.
import { LeakWatch } from '../../observe/reports.ts'
import { StatementCache } from '../../sql/compile.ts'
import { Ticker } from '../../util/ticker.ts'
import { Ear } from '../client/ear.ts'
import { listen, notify } from '../client/listen.ts'
import { lock } from '../client/lock.ts'
import { Functions } from '../functions.ts'
import { sumOf } from '../hosts/hosts.ts'
import { askPosition, reached } from '../hosts/position.ts'
import { noteReadOnly } from '../hosts/read-only.ts'
import { openReads, readsAlone } from '../hosts/route.ts'
import { sessionStateRefused } from '../slot/admission.ts'
import { lend } from '../slot/control.ts'
import { mayRunAnywhere } from '../slot/reach.ts'
import { Slot } from '../slot/slot.ts'
import { beginManual } from '../transaction/begin.ts'
import { openHome } from '../transaction/open-home.ts'
import { stateOf } from '../transaction/ended.ts'
import { commit, finish, hooksFailed, rollback, windUp } from '../transaction/ending.ts'
import { runManaged } from '../transaction/managed.ts'
import { switchOps } from '../switching.ts'
import { joinTwins, leaveTwins, tellOfTwin } from '../twins.ts'
import { Watch } from '../watch.ts'
import type { Works } from '../works.ts'

export const works: Works = {
  StatementCache,
  Ticker,
  LeakWatch,
  Watch,
  Ear,
  Functions,
  Slot,
  noteReadOnly,
  switchOps,
  mayRunAnywhere,
  sessionStateRefused,
  joinTwins,
  leaveTwins,
  tellOfTwin,
  sumOf,
  askPosition,
  reached,
  openReads,
  readsAlone,
  lend,
  runManaged,
  beginManual,
  openHome,
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
