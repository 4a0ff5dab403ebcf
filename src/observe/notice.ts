// Tells the author of a program what is not an error but probably not meant. Called by pool and engine. It publishes,
// and warns on the process once for each code and place; it never throws and changes nothing.
import { thrownText } from '../util/thrown.ts'
import { noticeChannel, type NoticeCode } from './channels.ts'

export type { NoticeCode } from './channels.ts'

export interface NoticeOptions {
  /** The name of the engine. */
  readonly engine?: string | undefined
  /** Where it came from, the most telling first; turned into text only if somebody is told. */
  readonly places?: readonly (string | { toString(): string })[] | undefined
  readonly details?: Readonly<Record<string, number>> | undefined
  /** What a callback threw, as text. */
  readonly error?: string | undefined
  /** False: publishes only. Default true. */
  readonly warn?: boolean | undefined
}

const mostRemembered = 1_000

/** Codes and first places that were warned of, oldest first. */
const warned = new Set<string>()

/**
 * Publishes to `genever:notice` and, once for each code and first place, emits a process warning of the type
 * `GeneverWarning` (`node --trace-warnings`, `--no-warnings` and `process.on('warning')` apply). The thousand latest
 * places are remembered. Never throws.
 *
 * @param message One sentence or two: what happened and what to do, without any value of a parameter.
 */
export function notice(code: NoticeCode, message: string, options: NoticeOptions = {}): void {
  const { engine, details, error, warn = true } = options
  if (!warn && !noticeChannel.hasSubscribers) return
  const places = (options.places ?? []).map(placeText).filter((place) => place !== '')
  if (noticeChannel.hasSubscribers)
    noticeChannel.publish({
      code,
      message,
      engine: engine ?? null,
      places,
      ...(details === undefined ? {} : { details }),
      ...(error === undefined ? {} : { error }),
    })
  if (warn && remember(`${code} ${places[0] ?? engine ?? ''}`))
    process.emitWarning(message, {
      type: 'GeneverWarning',
      code,
      detail: [...(error === undefined ? [] : [`    ${error}`]), ...places.map((place) => `    at ${place}`)].join(
        '\n',
      ),
    })
}

/** A callback of the user failed where nobody waits for it. */
export function hookFailed(message: string, thrown: unknown, options: NoticeOptions = {}): void {
  notice('hook-failed', message, { ...options, error: thrownText(thrown) })
}

/** A place may be described by a function of the user. */
function placeText(place: string | { toString(): string }): string {
  try {
    return String(place)
  } catch {
    return ''
  }
}

/** Whether it is new. */
function remember(key: string): boolean {
  if (warned.has(key)) return false
  if (warned.size >= mostRemembered) for (const oldest of warned.keys()) if (warned.delete(oldest)) break
  warned.add(key)
  return true
}
