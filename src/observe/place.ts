// Where in the user's code something was begun, for messages. Never called for each statement, and for transactions not more
// often than their budget allows: the capture costs 4 to 15 µs. Frames are filtered and turned into text only when somebody asks.
import { inspected } from '../util/thrown.ts'

/** With a function to skip, few frames of this package are left above the caller; every frame costs 0.4 µs. */
const framesBelowSkip = 6
const framesInAll = 14

export const unknownPlace = 'an unknown place'
const untakenPlace = 'a place that was not noted'

interface Capture {
  stack?: unknown
}

/** A place in the user's code. Holds the frames' functions until it is first turned into text. */
export class Place {
  #capture: Capture | null
  #text = ''
  readonly #before: string
  readonly #otherwise: string

  /** `before`: text in front of it. */
  constructor(capture: Capture, before = '', otherwise: string = unknownPlace) {
    this.#capture = capture
    this.#before = before
    this.#otherwise = otherwise
  }

  /** `src/jobs.ts:12:3 (sendMail)`, relative to the working directory; `an unknown place` if no frame is the user's. */
  toString(): string {
    if (this.#capture !== null) {
      this.#text = `${this.#before}${firstForeign(this.#capture.stack) ?? this.#otherwise}`
      this.#capture = null
    }
    return this.#text
  }

  toJSON(): string {
    return this.toString()
  }

  static {
    const print = function (this: Place): string {
      return this.toString()
    }
    Object.defineProperty(this.prototype, inspected, { value: print })
  }
}

/** For what was begun when no place was taken. */
export const noPlace: Place = new Place({}, '', untakenPlace)

/** Whether it names code of the user. */
export function isKnown(place: string): boolean {
  return place !== unknownPlace && place !== untakenPlace
}

const mostSaved = 10
const everyMs = 10
/** One takes at most this part of the time until the next: where much else runs, it takes ten times as long as where little does. */
const partOfTime = 1 / 1024

/**
 * How many places may be taken: one every ten milliseconds or more, as they take long, and some at once after a pause. A
 * transaction costs no more than a few of them do, and where there are fewer than that each has its place.
 */
export class PlaceBudget {
  #saved = mostSaved
  #counted = 0
  #everyMs = everyMs
  #lastMs = 0

  /** Whether one may be taken at `now`, in monotonic milliseconds. */
  take(now: number): boolean {
    this.#saved = Math.min(mostSaved, this.#saved + (now - this.#counted) / this.#everyMs)
    this.#counted = now
    if (this.#saved < 1) return false
    this.#saved--
    return true
  }

  /** One was taken, and took so long. The shorter of two counts: in the other, something else may have run. */
  took(ms: number): void {
    this.#everyMs = Math.max(everyMs, Math.min(ms, this.#lastMs) / partOfTime)
    this.#lastMs = ms
  }
}

/**
 * Remembers where the code that is running was called from.
 *
 * @param before Text in front of the place.
 * @param skip A function on the stack: it and all it called are left out, which makes the capture cheaper and is the only
 *   way to know this package's own frames when it was bundled into one file with the user's code.
 */
export function capturePlace(
  skip?: (abstract new (...args: never[]) => unknown) | ((...args: never[]) => unknown),
  before?: string,
): Place {
  const capture: Capture = {}
  const limit = Error.stackTraceLimit
  // Not an assignment: it would throw under --frozen-intrinsics.
  Reflect.set(Error, 'stackTraceLimit', skip === undefined ? framesInAll : framesBelowSkip)
  Error.captureStackTrace(capture, skip ?? capturePlace)
  Reflect.set(Error, 'stackTraceLimit', limit)
  return new Place(capture, before)
}

/** Worked out with the first place that is read. */
let ownFolders: readonly string[] | null = null

/** `src/` and `dist/` of this package, as paths and URLs; none when it was bundled with an application. */
function foldersOf(url: string | undefined): string[] {
  const root = /^(file:.*\/)(?:(?:src|dist)\/observe\/place\.[jt]s|dist\/genever-parts\/\w+\.js)$/.exec(url ?? '')?.[1]
  if (root === undefined) return []
  const urls = [`${root}src/`, `${root}dist/`]
  return [...urls, ...urls.map((folder) => process.getBuiltinModule('node:url').fileURLToPath(folder))]
}

function firstForeign(stack: unknown): string | undefined {
  if (typeof stack !== 'string') return undefined
  for (const line of stack.split('\n')) {
    const place = parseFrame(line)
    if (place !== undefined) return place
  }
  return undefined
}

const named = /^\s*at (?:async )?(?:new )?(.+?) \((.+:\d+:\d+)\)$/
const nameless = /^\s*at (?:async )?(.+:\d+:\d+)$/

/** A frame as V8 writes it; undefined for own code, for Node's, and for what is no frame. */
function parseFrame(line: string): string | undefined {
  const [, name, location] = named.exec(line) ?? [undefined, undefined, nameless.exec(line)?.[1]]
  if (location === undefined || location.startsWith('node:') || location.startsWith('eval at')) return undefined
  ownFolders ??= foldersOf(import.meta.url)
  if (ownFolders.some((folder) => location.startsWith(folder))) return undefined
  const title = name?.replace(/^Object\./, '').replace(/ \[as [^\]]*\]$/, '')
  return title === undefined || title.includes('<anonymous>')
    ? shortened(location)
    : `${shortened(location)} (${title})`
}

function shortened(location: string): string {
  const [, file = location, position = ''] = /^(.*?)(:\d+:\d+)$/.exec(location) ?? []
  try {
    const path = file.startsWith('file:') ? process.getBuiltinModule('node:url').fileURLToPath(file) : file
    const short = process.getBuiltinModule('node:path').relative(process.cwd(), path)
    return `${short.startsWith('..') || short === '' ? path : short}${position}`
  } catch {
    return location
  }
}
