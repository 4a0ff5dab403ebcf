// The code that every engine needs from its first statement on. That of scopes is added when it is loaded.
import { LeakWatch } from '../../observe/reports.ts'
import { StatementCache } from '../../sql/compile.ts'
import { Ticker } from '../../util/ticker.ts'
import { Functions } from '../functions.ts'
import { noteReadOnly } from '../hosts/read-only.ts'
import { mayRunAnywhere, sessionStateRefused } from '../slot/frameless.ts'
import { switchOps } from '../switching.ts'
import { joinTwins, leaveTwins, tellOfTwin } from '../twins.ts'
import { Watch } from '../watch.ts'
import type { BaseRuntime, EngineRuntime } from '../runtime.ts'

const first: BaseRuntime = {
  StatementCache,
  Ticker,
  LeakWatch,
  Watch,
  Functions,
  noteReadOnly,
  switchOps,
  mayRunAnywhere,
  sessionStateRefused,
  joinTwins,
  leaveTwins,
  tellOfTwin,
  whole: false,
}

/** Whole before an engine is given to anything but a statement that stands alone: `engineHere` sees to that. */
export const runtime: EngineRuntime = first as EngineRuntime
