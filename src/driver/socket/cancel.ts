// Sends a CancelRequest: asks a server to stop the running statement of one of its sessions, over a separate socket that uses TLS as
// the connection does.
import { before } from '../../util/clock.ts'
import { cancelRequest } from '../postgres/message-writer.ts'
import { dial, type Target } from './dial.ts'
import { SocketWire } from './socket-wire.ts'

/** What a server gave the session at its start: 4 to 256 bytes of key. */
export interface CancelKey {
  readonly processId: number
  readonly secret: Buffer
}

/** True when the server has closed the socket: the request has had its effect, if any. False: it could not be sent in time. */
export async function requestCancel(target: Target, key: CancelKey, deadline: number): Promise<boolean> {
  const wire = new SocketWire()
  try {
    await dial(target, wire, deadline)
  } catch {
    return false
  }
  const closed = new Promise<boolean>((resolve) => {
    wire.show({ message() {} }, { garbled: () => resolve(true), ended: () => resolve(true) })
  })
  wire.write(cancelRequest(key.processId, key.secret))
  const served = await before(deadline, closed)
  wire.destroy()
  return served
}
