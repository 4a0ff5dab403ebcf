// What `release()` takes.
import { boolean } from '../util/checks.ts'
import type { Checks } from '../util/options.ts'

export interface ReleaseOptions {
  /**
   * False: hands the raw connection back and keeps the handle, which borrows again when it is next used. Default true.
   * (GINO: `release(permanent=False)`.)
   */
  readonly permanent?: boolean | undefined
  /** With `permanent: false`: gives up session state the connection is pinned for (SET, LISTEN, temporary tables, …). */
  readonly discardSession?: boolean | undefined
}

export const releaseChecks: Checks<ReleaseOptions> = { permanent: boolean, discardSession: boolean }
