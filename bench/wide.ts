// `npm run bench -- wide`: rows of which a reader looks at three columns, read whole or when they are looked at. A value that is read
// late needs a copy of its bytes, since those on the wire are written over. Blocks take turns; medians of the processor time of a row.
//
// --rounds 15
import { parseArgs } from 'node:util'
import { type Cell, say, table } from '../demo/support/table.ts'
import { quantile } from './support/quantile.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } })
const rounds = Number(values.rounds)

type Read = (bytes: Buffer, start: number, end: number) => unknown

const number: Read = (bytes, start) => bytes.readInt32BE(start)
const double: Read = (bytes, start) => bytes.readDoubleBE(start)
const moment: Read = (bytes, start) => new Date(bytes.readDoubleBE(start))
const text: Read = (bytes, start, end) => bytes.toString('utf8', start, end)
const kinds: readonly (readonly [Read, Buffer])[] = [
  [number, Buffer.from([0, 0, 48, 57])],
  [text, Buffer.from('some text of a usual length')],
  [moment, doubles(1.7e12)],
  [double, doubles(1.25)],
]

function doubles(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes
}

const lines: Cell[][] = []
for (const [columns, long] of [
  [10, 0],
  [50, 0],
  [100, 0],
  [200, 0],
  [10, 10_000],
  [50, 10_000],
] as const)
  lines.push(measured(columns, long))
say(`Node ${process.version}, ${rounds} rounds; ns of a row, and of reading it whole.`)
say(
  table(['', 'whole', 'copied', 'inherited', '', 'own', '', 'Proxy', ''], lines, [
    'whole',
    'copied',
    'inherited',
    'own',
    'Proxy',
  ]),
)

function measured(columns: number, long: number): Cell[] {
  const parts = Array.from({ length: columns }, (_, n): readonly [Read, Buffer] =>
    long > 0 && n >= columns - 2
      ? [text, Buffer.alloc(long, 'lorem ipsum ')]
      : (kinds[n % kinds.length] as (typeof kinds)[0]),
  )
  const names = parts.map((_, n) => `column_${n}`)
  const readers = parts.map(([read]) => read)
  const starts = parts.map((_, n) => parts.slice(0, n).reduce((sum, [, bytes]) => sum + bytes.length, 0))
  const row = Buffer.concat(parts.map(([, bytes]) => bytes))
  const at = [...starts, row.length]
  const read = (bytes: Buffer, n: number): unknown => (readers[n] as Read)(bytes, at[n] as number, at[n + 1] as number)
  // Code made for the columns, as rows have it once they are many.
  // oxlint-disable-next-line typescript/no-implied-eval -- names are ours
  const whole = Function(
    'read',
    `return (b) => ({ ${names.map((name, n) => `${name}: read(b, ${n})`).join(', ')} })`,
  )(read) as (bytes: Buffer) => object
  const kept = Symbol('bytes')
  class Inherited {
    readonly [kept]: Buffer
    constructor(bytes: Buffer) {
      this[kept] = bytes
    }
  }
  names.forEach((name, n) =>
    Object.defineProperty(Inherited.prototype, name, {
      enumerable: true,
      get(this: Inherited) {
        return read(this[kept], n)
      },
    }),
  )
  const accessors = Object.fromEntries(
    names.map((name, n) => [
      name,
      {
        enumerable: true,
        configurable: true,
        get(this: Inherited) {
          return read(this[kept], n)
        },
      },
    ]),
  )
  const forms: readonly ((bytes: Buffer) => object)[] = [
    whole,
    (bytes) => Buffer.from(bytes),
    (bytes) => new Inherited(Buffer.from(bytes)),
    (bytes) => Object.defineProperties({ [kept]: Buffer.from(bytes) }, accessors),
    (bytes) => {
      const own = Buffer.from(bytes)
      return new Proxy({}, { get: (_, name) => read(own, names.indexOf(name as string)) })
    },
  ]
  const looked = [names[0], names[3], names[columns >> 1]] as string[]
  const samples = forms.map((): number[] => [])
  let sum = 0
  for (let round = -3; round < rounds; round++)
    forms.forEach((form, side) => {
      const before = process.cpuUsage()
      for (let answer = 0; answer < 20; answer++) {
        const rows = Array.from({ length: 100 }, () => form(row) as Record<string, unknown>)
        for (const each of rows) for (const name of looked) sum += each[name] === undefined ? 0 : 1
      }
      const { user, system } = process.cpuUsage(before)
      if (round >= 0) samples[side]?.push((user + system) / 2)
    })
  if (sum === 0) throw new Error('nothing was read')
  const [first = 0, copied = 0, ...late] = samples.map((of) => quantile(of, 0.5))
  const title = `${columns} columns${long > 0 ? ', two of 10 kB' : ''}`
  const cells = late.flatMap((of): Cell[] => [of.toFixed(0), (of / first).toFixed(2)])
  return [title, first.toFixed(0), copied.toFixed(0), ...cells]
}
