/**
 * A pooler in this process that spreads reads over servers, as pgpool-II does with `load_balance_mode = on`: each connection of the code
 * under test has two sessions, both on one server here. What writes goes to the one, reads go to the other. The number of that one is
 * announced, and a failure in the one stops nothing in the other.
 */

import type { Socket } from 'node:net'
import { Messages, type Pooler } from './pooler.ts'
import { Relay } from './relay.ts'

/** What pgpool-II takes for a write, as far as tests need it: functions that are volatile, and all that is no SELECT. */
const writes = /set_config|advisory|^(?!select)/i

export function startSpreader(target: string): Promise<Pooler> {
  const relay = new Relay(target)
  return relay.listen((client) => spread(client, relay.connect(), relay.connect()))
}

const flush = Buffer.from([72, 0, 0, 0, 4])

/** The type of a message, and a text in it. */
const typeOf = (message: Buffer): string => String.fromCharCode(message[0] as number)

function spread(client: Socket, writer: Socket, reader: Socket): void {
  /** Which session has a statement of that name. */
  const homes = new Map<string, Socket>()
  /** What the client is to be told next, and by whom; `ends`: the type of the message that ends the turn. */
  const turns: { by: Socket; ends: RegExp; silent: boolean }[] = []
  const said = new Map<Socket, Buffer[]>([
    [writer, []],
    [reader, []],
  ])
  let started = false
  let at: Socket = writer
  /** The one that has failed since the last Sync, and answers nothing until the next. The other one answers, and the client does not hear it. */
  let failed: Socket | null = null

  const tell = (): void => {
    for (let turn = turns[0]; turn !== undefined; turn = turns[0]) {
      const message = said.get(turn.by)?.shift()
      if (message === undefined) return
      if (!turn.silent) client.write(message)
      if (turn.ends.test(typeOf(message))) turns.shift()
      else if (typeOf(message) === 'E') fail(turn.by)
    }
  }
  const fail = (socket: Socket): void => {
    const sync = turns.findIndex(({ ends }) => ends.source === 'Z')
    const left = turns.splice(0, sync < 0 ? turns.length : sync)
    turns.unshift(...left.filter(({ by }) => by !== socket).map((turn) => ({ ...turn, silent: true })))
    if (sync < 0) failed = socket
  }
  const to = (socket: Socket, ends: RegExp, message: Buffer): void => {
    if (failed !== socket) turns.push({ by: socket, ends, silent: failed !== null })
    socket.write(Buffer.concat([message, flush]))
  }
  const hear = (message: Buffer): void => {
    const type = typeOf(message)
    const [first = '', second = ''] = message.toString('latin1', 5).split('\0')
    if (type === 'P') {
      at = writes.test(second) ? writer : reader
      homes.set(first, at)
      to(at, /1/, message)
    } else if (type === 'B') to((at = homes.get(second) ?? at), /2/, message)
    else if (type === 'D') to(homes.get(first.slice(1)) ?? at, /[Tn]/, message)
    else if (type === 'E') to(at, /[CsI]/, message)
    else if (type === 'C') to(homes.get(first.slice(1)) ?? at, /3/, message)
    else if (type === 'S' || type === 'Q') {
      failed = null
      turns.push({ by: writer, ends: /Z/, silent: type === 'S' })
      turns.push({ by: reader, ends: /Z/, silent: type === 'Q' })
      for (const socket of [writer, reader]) socket.write(message)
    } else for (const socket of [writer, reader]) socket.write(message)
  }

  const start = new Messages()
  client.on('data', (chunk: Buffer) => {
    start.read(
      chunk,
      () => !started,
      (message) => {
        if (started) return hear(message)
        started = true
        turns.push({ by: writer, ends: /Z/, silent: true }, { by: reader, ends: /Z/, silent: false })
        for (const socket of [writer, reader]) socket.write(message)
      },
    )
  })
  for (const socket of [writer, reader]) {
    const messages = new Messages()
    socket.on('data', (chunk: Buffer) => {
      messages.read(
        chunk,
        () => false,
        (message) => {
          said.get(socket)?.push(message)
        },
      )
      tell()
    })
    client.once('close', () => socket.destroy())
    socket.once('close', () => client.destroy())
  }
}
