// Where in the user's code something was begun, for messages. Called once for each transaction, acquire or cursor, never
// for each statement: the capture costs about 4 µs. Frames are filtered and turned into text only when somebody asks.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'

/** With a function to skip, few frames of this package are left above the caller; every frame costs 0.4 µs. */
const framesBelowSkip = 6
const framesInAll = 14

export const unknownPlace = 'an unknown place'

interface Capture {
  stack?: unknown
}

/** A place in the user's code. Holds the frames' functions until it is first turned into text. */
export class Place {
  #capture: Capture | null
  #text = ''

  constructor(capture: Capture) {
    this.#capture = capture
  }

  /** `src/jobs.ts:12:3 (sendMail)`, relative to the working directory; `an unknown place` if no frame is the user's. */
  toString(): string {
    if (this.#capture !== null) {
      this.#text = firstForeign(this.#capture.stack) ?? unknownPlace
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
    Object.defineProperty(this.prototype, inspect.custom, { value: print })
  }
}

/**
 * Remembers where the code that is running was called from.
 *
 * @param skip A function on the stack: it and all it called are left out, which makes the capture cheaper and is the only
 *   way to know this package's own frames when it was bundled into one file with the user's code.
 */
export function capturePlace(
  skip?: (abstract new (...args: never[]) => unknown) | ((...args: never[]) => unknown),
): Place {
  const capture: Capture = {}
  const limit = Error.stackTraceLimit
  // Not an assignment: it would throw under --frozen-intrinsics.
  Reflect.set(Error, 'stackTraceLimit', skip === undefined ? framesInAll : framesBelowSkip)
  Error.captureStackTrace(capture, skip ?? capturePlace)
  Reflect.set(Error, 'stackTraceLimit', limit)
  return new Place(capture)
}

/** `src/` and `dist/` of this package, as paths and URLs; none when it was bundled. */
const ownFolders: readonly string[] = foldersOf(import.meta.url)

function foldersOf(url: string | undefined): string[] {
  const root = /^(file:.*\/)(?:src|dist)\/observe\/place\.[jt]s$/.exec(url ?? '')?.[1]
  if (root === undefined) return []
  const urls = [`${root}src/`, `${root}dist/`]
  return [...urls, ...urls.map((folder) => fileURLToPath(folder))]
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
  if (ownFolders.some((folder) => location.startsWith(folder))) return undefined
  const title = name?.replace(/^Object\./, '').replace(/ \[as [^\]]*\]$/, '')
  return title === undefined || title.includes('<anonymous>')
    ? shortened(location)
    : `${shortened(location)} (${title})`
}

function shortened(location: string): string {
  const [, file = location, position = ''] = /^(.*?)(:\d+:\d+)$/.exec(location) ?? []
  try {
    const path = file.startsWith('file:') ? fileURLToPath(file) : file
    const short = relative(process.cwd(), path)
    return `${short.startsWith('..') || short === '' ? path : short}${position}`
  } catch {
    return location
  }
}
