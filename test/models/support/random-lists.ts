/** Rows and queries of lists at random, and what those queries find, told by a model in memory. */

import { fc } from '../../support/fast-check.ts'

interface Parent {
  readonly id: number
  readonly key: string | null
  readonly part: number | null
  readonly mark: number | null
  readonly boss: number | null
}
interface Kid {
  readonly id: number
  readonly parent: string | null
  readonly part: number | null
  readonly mark: number | null
  readonly n: number
}
interface Toy {
  readonly id: number
  readonly kid: number | null
}
interface Bit {
  readonly id: number
  readonly toy: number | null
}
export interface Memory {
  readonly bits: readonly Bit[]
  /** Of a parent and a kid, in their order. */
  readonly links: readonly (readonly [number, number])[]
  readonly parents: readonly Parent[]
  readonly kids: readonly Kid[]
  readonly toys: readonly Toy[]
  /** Whether the server takes two keys for one. */
  readonly equal: (one: string, other: string) => boolean
  readonly composite: boolean
}

export const kinds = [
  'text',
  'numeric',
  'uuid',
  'insensitive',
  'citext',
  'mood',
  'timestamptz',
  'char',
  'integer',
  'bigint',
] as const
export type Kind = (typeof kinds)[number]
/** Rows of lists are paired by these in JavaScript. */
export const whole: readonly Kind[] = ['integer', 'bigint']
/** Values of each kind; some are equal to others for the server alone, some for JavaScript alone. */
export const values: Readonly<Record<Kind, readonly string[]>> = {
  text: ['a', 'A', '{b,"c"}', '\\', ''],
  numeric: ['1.0', '1.00', '2', '-3.5', '10000000000000000000'],
  uuid: [
    '00000000-0000-0000-0000-000000000001',
    '00000000-0000-0000-0000-000000000002',
    '00000000-0000-0000-0000-000000000003',
    '00000000-0000-0000-0000-000000000004',
    '00000000-0000-0000-0000-000000000005',
  ],
  insensitive: ['a', 'A', 'b', 'B', 'ü'],
  citext: ['a', 'A', 'b', 'B', ''],
  mood: ['sad', 'ok', 'glad', 'new', 'old'],
  timestamptz: [
    '2025-01-01 00:00:00.000001+00',
    '2025-01-01 00:00:00.000002+00',
    '2025-01-01 01:00:00.000001+01',
    '2025-01-02 00:00:00+00',
    'infinity',
  ],
  char: ['a', 'a ', 'b', 'c', ''],
  integer: ['0', '1', '-1', '2147483647', '-2147483648'],
  bigint: ['9007199254740992', '9007199254740993', '-9007199254740993', '0', '9223372036854775807'],
}

export const world = fc.record({
  kind: fc.oneof(fc.constantFrom(...kinds), fc.constantFrom(...whole)),
  index: fc.boolean(),
  composite: fc.boolean(),
  keys: fc.array(
    fc.tuple(
      fc.option(fc.nat(4), { nil: null, freq: 6 }),
      fc.option(fc.nat(1), { nil: null, freq: 6 }),
      fc.option(fc.integer({ min: 1, max: 3 }), { nil: null, freq: 6 }),
      fc.option(fc.nat(6), { nil: null, freq: 3 }),
    ),
    { maxLength: 7 },
  ),
  kids: fc.array(
    fc.record({
      parent: fc.option(fc.nat(4), { nil: null, freq: 5 }),
      part: fc.option(fc.nat(1), { nil: null, freq: 6 }),
      mark: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null, freq: 6 }),
      n: fc.nat(5),
    }),
    { maxLength: 16 },
  ),
  toys: fc.array(fc.option(fc.nat(16), { nil: null, freq: 5 }), { maxLength: 12 }),
  bits: fc.array(fc.option(fc.nat(12), { nil: null, freq: 5 }), { maxLength: 12 }),
  links: fc.uniqueArray(fc.tuple(fc.nat(6), fc.nat(15)), { maxLength: 12, selector: String }),
})
type World = typeof world extends fc.Arbitrary<infer T> ? T : never

export const asked = fc.record({
  /** All objects, or those with some ids, with whole lists, and nothing else. */
  plain: fc.boolean(),
  ids: fc.option(fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 5 }), { nil: null }),
  down: fc.boolean(),
  limit: fc.option(fc.nat(4), { nil: null }),
  offset: fc.option(fc.nat(3), { nil: null }),
  above: fc.option(fc.nat(5), { nil: null }),
  some: fc.boolean(),
  /** By id, backwards, by the key as lists are by default, or by an own number and then the id. */
  listOrder: fc.constantFrom('up', 'down', 'key', 'key', 'number'),
  listLimit: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null }),
  nested: fc.boolean(),
  toyLimit: fc.option(fc.integer({ min: 1, max: 2 }), { nil: null }),
  /** A third level. */
  bits: fc.boolean(),
  /** What has the list is a view without a key, or what is listed. */
  view: fc.constantFrom(null, null, 'owner', 'child', 'both'),
  /** A list by a table in between, and the rows of that. */
  linked: fc.boolean(),
  /** One object and a list of the table itself. */
  self: fc.boolean(),
  /** The object stands in a tuple. */
  tuple: fc.boolean(),
  /** Objects of the inner list have the object that has them. */
  back: fc.boolean(),
  /** Two lists beside each other. */
  twice: fc.boolean(),
  separate: fc.boolean(),
  /**
   * By the foreign key; by the same as a condition; by the mark of the object that has the list, whose table one side has under
   * another name; or both by one name, which is refused.
   */
  by: fc.constantFrom('key', 'key', 'key', 'condition', 'outer', 'inner', 'both'),
  how: fc.constantFrom('all', 'all', 'first', 'pages', 'iterate'),
  lock: fc.constantFrom(null, null, 'wait', 'nowait', 'skip'),
  /** A row that another transaction has locked, where locked rows are left out or refused. */
  held: fc.option(fc.integer({ min: 1, max: 7 }), { nil: null }),
})
export type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never

export function memoryOf({ kind, keys, kids, toys, bits, links, composite }: World, equal: Memory['equal']): Memory {
  const valueAt = (at: number | null): string | null => (at === null ? null : (values[kind][at] as string))
  return {
    parents: keys.map(([at, part, mark, boss], i) => ({
      id: i + 1,
      key: valueAt(at),
      part,
      mark,
      boss: boss === null || keys.length === 0 ? null : (boss % keys.length) + 1,
    })),
    kids: kids.map(({ parent, ...kid }, i) => ({ id: i + 1, parent: valueAt(parent), ...kid })),
    toys: toys.map((kid, i) => ({ id: i + 1, kid })),
    bits: bits.map((toy, i) => ({ id: i + 1, toy })),
    links: links
      .filter(([parent, kid]) => parent < keys.length && kid < kids.length)
      .map(([parent, kid]) => [parent + 1, kid + 1] as const)
      .toSorted(([one, first], [other, second]) => one - other || first - second),
    equal,
    composite,
  }
}

/** Whether the row that another transaction has is among those that a query looks at until it has all it is asked for. */
export function meets(memory: Memory, ask: Asked, held: number): boolean {
  const all = ask.how === 'pages' || ask.how === 'iterate'
  const most = ask.how === 'first' ? 1 : Infinity
  const limit = Math.min(ask.how === 'pages' ? Infinity : (ask.limit ?? Infinity), most)
  const start = ask.how === 'pages' ? 0 : (ask.offset ?? 0)
  const seen = expected(memory, { ...ask, how: 'all', limit: null, offset: null }, null) as readonly { id: number }[]
  const looked = all && ask.limit === null ? seen : seen.slice(0, limit === 0 ? 0 : start + limit)
  return looked.some(({ id }) => id === held)
}

export function expected(memory: Memory, ask: Asked, held: number | null): unknown {
  const { parents, kids, toys, bits, links, equal, composite } = memory
  const all = ({ key, part: of }: Parent): readonly Kid[] =>
    kids.filter(
      ({ parent, part }) =>
        key !== null && parent !== null && equal(parent, key) && (!composite || (part !== null && part === of)),
    )
  const toysOf = (id: number): readonly Toy[] => {
    const own = toys.filter(({ kid }) => kid === id)
    return ask.toyLimit === null ? own : own.toReversed().slice(0, ask.toyLimit)
  }
  const bitsOf = (id: number): readonly number[] | null =>
    ask.bits ? bits.filter(({ toy }) => toy === id).map((bit) => bit.id) : null
  const above = ({ n }: Kid): boolean => ask.above === null || n > ask.above
  const belongs = (parent: Parent): Kid[] => all(parent).filter(above)
  const marked = ({ mark: own }: Parent): Kid[] =>
    kids.filter(({ mark }) => mark !== null && mark === own).filter(above)
  const byMark = ask.by === 'outer' || ask.by === 'inner'
  const objects = parents.filter(
    (parent) =>
      parent.id !== held &&
      (ask.ids === null || ask.ids.includes(parent.id)) &&
      (!ask.some || belongs(parent).length > 0),
  )
  if (ask.down) objects.reverse()
  const start = ask.how === 'pages' ? 0 : (ask.offset ?? 0)
  const most = ask.how === 'first' ? 1 : Infinity
  const limit = ask.how === 'pages' ? Infinity : (ask.limit ?? Infinity)
  return objects.slice(start, start + Math.min(limit, most)).map((parent) => {
    const list = byMark ? marked(parent) : belongs(parent)
    if (ask.listOrder === 'down') list.reverse()
    if (ask.listOrder === 'number') list.sort((one, other) => one.n - other.n || one.id - other.id)
    return {
      id: parent.id,
      kids: list.slice(0, ask.listLimit ?? Infinity).map(({ id, n }) => ({
        id,
        n,
        toys: ask.nested ? toysOf(id).map((toy) => [toy.id, ask.back ? id : null, bitsOf(toy.id)]) : null,
      })),
      others: ask.twice ? all(parent).map(({ id }) => id) : null,
      linked: ask.linked ? links.filter(([of]) => of === parent.id).map(([, kid]) => kid) : null,
      pairs: ask.linked ? links.filter(([of]) => of === parent.id).map(([, kid]) => kid) : null,
      chief: ask.self ? parent.boss : 'not asked',
      minions: ask.self ? parents.filter(({ boss }) => boss === parent.id).map(({ id }) => id) : null,
    }
  })
}
