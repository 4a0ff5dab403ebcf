import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MessageSplitter, type Receiver } from '../../src/driver/pg/message-splitter.ts'

/** Takes down what it is handed. */
class Witness implements Receiver {
  taking = true
  readonly rows: string[] = []
  readonly tags: string[] = []
  passed = ''
  refused = ''

  row(bytes: Buffer, at: number, end: number): void {
    this.rows.push(bytes.toString('latin1', at, end))
  }

  complete(tag: string): void {
    this.tags.push(tag)
  }

  pass(bytes: Buffer): void {
    this.passed += bytes.toString('latin1')
  }

  garbage(what: string): void {
    this.refused = what
  }
}

function message(type: string, body: string): Buffer {
  const bytes = Buffer.alloc(5 + body.length)
  bytes.write(type, 0, 'latin1')
  bytes.writeInt32BE(4 + body.length, 1)
  bytes.write(body, 5, 'latin1')
  return bytes
}

const messages = fc.array(
  fc.record({
    type: fc.constantFrom('D', 'C', '2', 'Z', 'T', 'N', '1', 'S'),
    // Bodies hold the bytes of headers too.
    body: fc.string({ unit: fc.constantFrom('D', 'C', '\0', '\x05', 'x', '\xff'), maxLength: 40 }),
  }),
  { maxLength: 30 },
)

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...at].map((start, i) => bytes.subarray(start, at[i] ?? bytes.length)).filter(({ length }) => length > 0)
}

describe('what the server sends', () => {
  test('is the same in whatever chunks it comes', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat()), fc.boolean(), (sent, places, taking) => {
        const taken = (type: string): boolean => taking && 'DC2'.includes(type)
        const witness = new Witness()
        witness.taking = taking
        const splitter = new MessageSplitter(witness)
        const whole = Buffer.concat(sent.map(({ type, body }) => message(type, body)))

        for (const chunk of cut(whole, places)) splitter.push(chunk)

        expect(witness.rows).toEqual(sent.filter(({ type }) => taking && type === 'D').map(({ body }) => body))
        expect(witness.tags).toEqual(
          sent.filter(({ type }) => taking && type === 'C').map(({ body }) => body.slice(0, -1)),
        )
        const passed = sent.filter(({ type }) => !taken(type)).map(({ type, body }) => message(type, body))
        expect(witness.passed).toBe(Buffer.concat(passed).toString('latin1'))
      }),
      { numRuns: 500 },
    )
  })

  test('goes on in order: what was passed on comes before the row behind it', () => {
    const order: string[] = []
    const splitter = new MessageSplitter({
      taking: true,
      row: () => order.push('row'),
      complete: (tag) => order.push(tag),
      pass: (bytes) => order.push(bytes.toString('latin1', 0, 1)),
      garbage: (what) => order.push(what),
    })

    splitter.push(
      Buffer.concat([
        message('T', 'x'),
        message('D', ''),
        message('N', ''),
        message('D', ''),
        message('C', 'SELECT 2\0'),
      ]),
    )

    expect(order).toEqual(['T', 'row', 'N', 'row', 'SELECT 2'])
  })

  test('is refused when a length cannot be one', () => {
    for (const bytes of [Buffer.from('HTTP/1.1 400 Bad Request'), Buffer.from([68, 0, 0, 0, 3])]) {
      const witness = new Witness()
      new MessageSplitter(witness).push(bytes)

      expect(witness.refused).toMatch(/length/)
      expect(witness.passed).toBe('')
    }
  })
})
