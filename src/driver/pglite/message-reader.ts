// Backend messages of the PostgreSQL protocol as PGlite answers them: whole, in one chunk. Cuts the chunk up and tells a
// session and its hooks. It knows no order of messages; that is the exchange's matter.
import type { Field } from '../../sql/compiled.ts'
import type { ConnectionHooks } from '../driver.ts'
import type { Session } from '../postgres/session.ts'

const fieldNames: Readonly<Record<string, string>> = {
  S: 'severity',
  C: 'code',
  M: 'message',
  D: 'detail',
  H: 'hint',
  P: 'position',
  p: 'internalPosition',
  q: 'internalQuery',
  W: 'where',
  s: 'schema',
  t: 'table',
  c: 'column',
  d: 'dataType',
  n: 'constraint',
  F: 'file',
  L: 'line',
  R: 'routine',
}

export function deliver(chunk: Uint8Array, session: Session, hooks: ConnectionHooks): void {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  let at = 0
  while (at + 5 <= bytes.length && session.alive) {
    const type = String.fromCharCode(bytes[at] ?? 0)
    const end = at + 1 + bytes.readInt32BE(at + 1)
    if (type === 'D') session.exchange?.dataRow(bytes, at + 5, end)
    else deliverOne(type, new MessageReader(bytes, at + 5), session, hooks)
    at = end
  }
}

export function hasError(chunk: Uint8Array): boolean {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readInt32BE(at + 1)) if (bytes[at] === 69) return true
  return false
}

function deliverOne(type: string, body: MessageReader, session: Session, hooks: ConnectionHooks): void {
  const { exchange } = session
  switch (type) {
    case 'C':
      exchange?.commandComplete(body.text())
      break
    case 'Z':
      session.readyForQuery(body.character())
      break
    case 'T':
      exchange?.rowDescription(body.fields())
      break
    case 'n':
      exchange?.rowDescription([])
      break
    case 't':
      exchange?.parameterDescription(body.types())
      break
    case '1':
      exchange?.parseComplete()
      break
    case 's':
      exchange?.portalSuspended()
      break
    case 'I':
      exchange?.emptyQuery()
      break
    case 'E':
      exchange?.errorResponse(body.response())
      break
    case 'G':
      exchange?.copyIn()
      break
    case 'H':
      exchange?.copyOut()
      break
    case 'N':
      hooks.notice(body.response())
      break
    case 'S':
      hooks.parameter(body.text(), body.text())
      break
    case 'A': {
      const process = body.int32()
      hooks.notification(body.text(), body.text(), process)
      break
    }
    default:
  }
}

class MessageReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  int16(): number {
    this.#at += 2
    return this.#bytes.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  character(): string {
    return String.fromCharCode(this.#bytes[this.#at++] ?? 0)
  }

  text(): string {
    const begin = this.#at
    const end = this.#bytes.indexOf(0, begin)
    this.#at = end + 1
    return this.#bytes.toString('utf8', begin, end)
  }

  fields(): Field[] {
    return Array.from({ length: this.int16() }, () => {
      const name = this.text()
      const table = this.int32() >>> 0
      const column = this.int16()
      const type = this.int32() >>> 0
      this.int16()
      const typmod = this.int32()
      this.int16()
      return { name, table, column, type, typmod }
    })
  }

  types(): number[] {
    return Array.from({ length: this.int16() & 0xffff }, () => this.int32() >>> 0)
  }

  response(): Record<string, string> {
    const fields: Record<string, string> = {}
    for (let type = this.character(); type !== '\0'; type = this.character()) {
      const name = fieldNames[type]
      const value = this.text()
      if (name !== undefined) fields[name] = value
    }
    return fields
  }
}
