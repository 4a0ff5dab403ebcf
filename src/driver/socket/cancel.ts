// Asks a server to stop what one of its sessions runs, over a socket that is made for it and speaks TLS as the connection does.
import { before } from '../../util/clock.ts'
import { dial, type Target } from './dial.ts'
import { SocketWire } from './socket-wire.ts'

/** What a server gave the session at its start: 4 to 256 bytes of key. */
export interface CancelKey {
  readonly processId: number
  readonly secret: Buffer
}

const cancelCode = 80_877_102

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
  wire.write(cancelMessage(key))
  const served = await before(deadline, closed)
  wire.destroy()
  return served
}

function cancelMessage({ processId, secret }: CancelKey): Buffer {
  const message = Buffer.alloc(12 + secret.length)
  message.writeInt32BE(message.length, 0)
  message.writeInt32BE(cancelCode, 4)
  message.writeInt32BE(processId, 8)
  secret.copy(message, 12)
  return message
}
