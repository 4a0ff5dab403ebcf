/** What makes an engine is loaded before a test file begins, as it was before in most programs: no test measures how long that takes. */

import '../../src/engine/open/make-engine.ts'
