/** Limits that no machine reaches, however busy it is. */

/** PGlite starts in this process, which takes many times as long on a busy machine: its second beside the usual ten. */
export const pgliteStart = { connectTimeoutMs: 100_000 } as const
