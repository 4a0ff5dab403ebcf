import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MessageSplitter, type Receiver } from '../../src/driver/pg/message-splitter.ts'

/** Takes down what it is handed. */
class Witness implements Receiver {
  readonly messages: { type: string; body: string }[] = []

  message(type: number, bytes: Buffer, at: number, end: number): void {
    this.messages.push({ type: String.fromCharCode(type), body: bytes.toString('latin1', at, end) })
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
  test('is the same messages in whatever chunks it comes', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat()), (sent, places) => {
        const witness = new Witness()
        const splitter = new MessageSplitter(witness)
        const whole = Buffer.concat(sent.map(({ type, body }) => message(type, body)))

        for (const chunk of cut(whole, places)) splitter.push(chunk)

        expect(witness.messages).toEqual(sent)
      }),
      { numRuns: 500 },
    )
  })

  test('is refused when a length cannot be one', () => {
    for (const bytes of [Buffer.from('HTTP/1.1 400 Bad Request'), Buffer.from([68, 0, 0, 0, 3])]) {
      const witness = new Witness()

      expect(() => new MessageSplitter(witness).push(bytes)).toThrow(/length/)
      expect(witness.messages).toEqual([])
    }
  })
})
