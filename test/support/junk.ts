/** Values that callers pass by mistake, for tests of what is checked. */

class Instance {
  timeoutMs = 5
  get name(): string {
    return 'a'
  }
}

/** What a getter or a proxy throws. */
export class Trap extends RangeError {}

const fails = (): never => {
  throw new Trap('a trap that throws')
}

/** They throw whatever is done with them. */
export const hostile: readonly unknown[] = [
  new Proxy({}, { ownKeys: fails, get: fails }),
  new Proxy({}, { getPrototypeOf: fails }),
  new Proxy([], { get: fails }),
]

export const url: URL = new URL('postgres://localhost/none')

/** Values without a name, alike in each run. */
export const junk: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  -1,
  1.5,
  0,
  1,
  Infinity,
  -Infinity,
  2 ** 53,
  5n,
  true,
  '',
  'x',
  'select 1',
  '\0',
  'x'.repeat(10_000),
  Symbol('s'),
  [],
  [1],
  [[]],
  [[1], [2]],
  [undefined],
  {},
  { unknown: 1 },
  { a: 1 },
  { timeoutMs: Number.NaN },
  { timeoutMs: -1 },
  { timeoutMs: '5' },
  { timeoutMs: null },
  { timeoutMs: undefined },
  { timeoutMs: Infinity },
  { signal: {} },
  { on: {} },
  { on: null },
  { query: { timeoutMs: -1 } },
  { query: 5 },
  { settings: { 'a b': '1' } },
  { settings: [] },
  { settings: { 'app.x': undefined } },
  { isolation: 'none' },
  { isolation: 'serializable' },
  { retry: { limit: 1, times: 2 } },
  { retry: -1 },
  { reuse: 'no' },
  { lazy: true },
  { batchSize: 0 },
  { batchSize: 2 },
  { loader: 5 },
  { into: 5 },
  { into: {} },
  { into: (row: object) => row },
  { permanent: false },
  { [Symbol('timeoutMs')]: 1 },
  JSON.parse('{"__proto__": {"timeoutMs": 1}}'),
  new Map([['timeoutMs', 5]]),
  new Set([1]),
  new Date(0),
  new Date(Number.NaN),
  url,
  /x/,
  new Error('given'),
  Buffer.from('x'),
  new Instance(),
  Instance,
  Object.create({ timeoutMs: 5 }),
  Object.create(null),
  Object.freeze({ timeoutMs: 5 }),
  new AbortController().signal,
  { signal: AbortSignal.abort() },
  () => 1,
  async () => 1,
  {
    get timeoutMs() {
      return fails()
    },
  },
  {
    get a() {
      return fails()
    },
  },
  new Proxy({ timeoutMs: 5 }, {}),
  ...hostile,
  globalThis,
]

/** Numbers that are the same in each run with the same seed. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
