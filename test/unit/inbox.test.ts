import { fc } from '../support/fast-check.ts'
import { describe, expect, test } from 'vitest'
import { Inbox, type Receiver } from '../../src/driver/postgres/inbox.ts'
import { MessageWriter } from '../../src/driver/postgres/message-writer.ts'

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

/** As a socket does: into the space it is offered, as much as fits. */
function fill(inbox: Inbox, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const copied = bytes.copy(inbox.space(), 0, at)
    inbox.filled(copied)
    at += copied
  }
}

const ways = [
  ['chunks', false, (inbox: Inbox, chunk: Buffer) => inbox.push(chunk)],
  ['chunks, into memory that is written over', true, (inbox: Inbox, chunk: Buffer) => inbox.push(chunk)],
  ['filled space', true, fill],
] as const

describe('what the server sends', () => {
  test.each(ways)('is the same messages in whatever pieces it comes: %s', (_way, reuses, give) => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat()), (sent, places) => {
        const witness = new Witness()
        const inbox = new Inbox(witness, reuses)
        const whole = Buffer.concat(sent.map(({ type, body }) => message(type, body)))

        for (const chunk of cut(whole, places)) give(inbox, chunk)

        expect(witness.messages).toEqual(sent)
      }),
      { numRuns: 300 },
    )
  })

  test.each(ways)('may be larger than any memory it had: %s', (_way, reuses, give) => {
    const witness = new Witness()
    const inbox = new Inbox(witness, reuses)
    const sent = [
      { type: 'D', body: 'x' },
      { type: 'D', body: 'y'.repeat(3_000_000) },
      { type: 'C', body: 'z' },
    ]
    const whole = Buffer.concat(sent.map(({ type, body }) => message(type, body)))

    for (let at = 0; at < whole.length; at += 70_000) give(inbox, whole.subarray(at, at + 70_000))

    expect(witness.messages.map(({ type, body }) => `${type} ${body.length}`)).toEqual(['D 1', 'D 3000000', 'C 1'])
  })

  test.each(ways)(
    'is kept while there is no receiver, and goes to the next one from the next message on: %s',
    (_way, reuses, give) => {
      const second = new Witness()
      const first = new Witness()
      const receiver: Receiver = {
        message(...args) {
          first.message(...args)
          inbox.handTo(null)
        },
      }
      const inbox = new Inbox(receiver, reuses)
      give(inbox, Buffer.concat([message('Z', 'I'), message('N', 'a'), message('S', 'b').subarray(0, 4)]))
      expect([first.messages.length, second.messages.length]).toEqual([1, 0])

      inbox.handTo(second)
      give(inbox, message('S', 'b').subarray(4))

      expect([first.messages, second.messages]).toEqual([
        [{ type: 'Z', body: 'I' }],
        [
          { type: 'N', body: 'a' },
          { type: 'S', body: 'b' },
        ],
      ])
    },
  )

  test('keeps its order when more comes while a message is being received', () => {
    const witness = new Witness()
    const inbox: Inbox = new Inbox({
      message(...args) {
        witness.message(...args)
        if (witness.messages.length === 1) inbox.push(message('C', 'late'))
      },
    })

    inbox.push(Buffer.concat([message('D', '1'), message('D', '2')]))

    expect(witness.messages.map(({ type }) => type).join('')).toBe('DDC')
  })

  test.each(ways)('is refused when a length cannot be one: %s', (_way, reuses, give) => {
    for (const bytes of [Buffer.from('HTTP/1.1 400 Bad Request'), Buffer.from([68, 0, 0, 0, 3])]) {
      const witness = new Witness()

      expect(() => give(new Inbox(witness, reuses), bytes)).toThrow(/length/)
      expect(witness.messages).toEqual([])
    }
  })

  test('gives the memory of a huge message back, and keeps that of others', () => {
    const inbox = new Inbox(new Witness(), true)
    fill(inbox, message('D', 'small'))
    const usual = inbox.space().buffer

    fill(inbox, message('D', 'x'.repeat(1 << 19)))
    const grown = inbox.space().buffer
    fill(inbox, message('D', 'x'.repeat(1 << 22)))

    expect(usual.byteLength).toBeLessThan(grown.byteLength)
    expect(inbox.space().buffer.byteLength).toBe(usual.byteLength)
  })
})

describe('what is sent', () => {
  test('gives the memory of a huge statement back', () => {
    const writer = new MessageWriter()
    const usual = writer.written.buffer.byteLength

    writer.query(`select '${'x'.repeat(1 << 22)}'`)
    expect(writer.written.buffer.byteLength).toBeGreaterThan(1 << 22)
    writer.clear()

    expect(writer.written.buffer.byteLength).toBe(usual)
  })
})
