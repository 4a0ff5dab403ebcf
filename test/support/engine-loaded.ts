/** What makes an engine is loaded before a test file begins, as it was before in most programs: no test measures how long that takes. */

import { idleChecks } from '../../src/pool/member.ts'
import { loadRuntime } from '../../src/engine/open/create-engine.ts'
import '../../src/engine/open/make-engine.ts'
import '../../src/engine/open/on-hosts.ts'
import '../../src/engine/open/set-up.ts'

await loadRuntime()

// A machine may stand still for seconds between two lines of a test, which then would find a connection being asked whether it
// still answers, or two ends of sessions too far apart to mean their server. Tests of these times let them pass by a clock of their own.
Object.assign(idleChecks, { freshMs: 10_000, windowMs: 60_000 })
