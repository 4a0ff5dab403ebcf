/** The simplest session there can be on an open wire: one text at a time, its rows as text. To look at a start-up from inside. */

import type { OpenWire } from '../../src/driver/socket/open-wire.ts'

export interface PlainSession {
  /** The rows of one text, all as text; rejects with the message of the server. */
  ask(sql: string): Promise<(string | null)[][]>
}

export function plainSession({ wire }: OpenWire): PlainSession {
  let rows: (string | null)[][] = []
  let error: string | null = null
  let settle: (failure: Error | null) => void = () => {}
  const message = (type: string, body: Buffer): void => {
    if (type === 'D') rows.push(valuesIn(body))
    if (type === 'E') error = /\0M([^\0]*)/.exec(`\0${body.toString()}`)?.[1] ?? 'error'
    if (type === 'Z') settle(error === null ? null : new Error(error))
  }
  wire.show(
    { message: (type, bytes, at, end) => message(String.fromCharCode(type), bytes.subarray(at, end)) },
    {
      garbled: () => settle(new Error('the connection is garbled')),
      ended: () => settle(new Error('the connection has ended')),
    },
  )
  return {
    ask(sql) {
      const body = Buffer.from(`${sql}\0`)
      const head = Buffer.from([81, 0, 0, 0, 0])
      head.writeInt32BE(body.length + 4, 1)
      rows = []
      error = null
      return new Promise((resolve, reject) => {
        settle = (failure) => (failure === null ? resolve(rows) : reject(failure))
        wire.write(Buffer.concat([head, body]))
      })
    },
  }
}

function valuesIn(body: Buffer): (string | null)[] {
  let at = 2
  return Array.from({ length: body.readInt16BE(0) }, () => {
    const size = body.readInt32BE(at)
    at += 4 + Math.max(0, size)
    return size < 0 ? null : body.toString('utf8', at - size, at)
  })
}
