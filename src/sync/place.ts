// Where a thread may be made to wait: not in the worker itself, not in an open transaction. Asked before each call.
import { currentChain, openTransaction } from '../engine/context/chain.ts'
import type { Settings } from '../engine/context/frame.ts'
import { UsageError } from '../errors/index.ts'
import { notice } from '../observe/channels.ts'
import { clock } from '../util/clock.ts'

const mark: unique symbol = Symbol.for('genever.sync.worker')
const places = globalThis as { [mark]?: true }

/** Says that this thread is a worker of ours. */
export function markWorker(): void {
  places[mark] = true
}

const lookEveryMs = 1_000
let lookedAt = -Infinity

/**
 * The settings of the innermost scope around the call, which go along.
 *
 * @throws {UsageError} in a worker of genever/sync, and inside of an open transaction: the call could wait for locks that
 *   this very thread holds, and could not give back while it waits.
 */
export function settingsForCall(method: string): Settings | null {
  if (places[mark] === true)
    throw new UsageError(
      `${method} cannot be called in the worker of genever/sync itself: use the async methods of db there.`,
    )
  const chain = currentChain()
  if (openTransaction(null, chain) !== null)
    throw new UsageError(
      `${method} cannot be called inside of a transaction: it could wait for locks of that transaction while nothing else can ` +
        'run. Call it before or after, or use the async methods of db.',
    )
  let settings: Settings | null = null
  for (let link = chain; link !== undefined && settings === null; link = link.next) {
    const { frame } = link
    if (!frame.live) continue
    settings = frame.settings
    if (frame.kind === 'detached') break
  }
  warnBesideServer(method)
  return settings
}

function warnBesideServer(method: string): void {
  const now = clock.now()
  if (now - lookedAt < lookEveryMs) return
  lookedAt = now
  if (process.getActiveResourcesInfo().some((name) => name === 'TCPServerWrap' || name === 'PipeServerWrap'))
    notice(
      'sync-beside-server',
      `${method} makes this thread wait, so a server in it answers nobody until the call is done. Use the async methods of db.`,
    )
}
