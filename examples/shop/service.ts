// What an example gives to whoever starts it.
import type { Server } from 'node:http'

export interface Service {
  readonly url: string
  /** Answers running requests, then closes the database. */
  close(): Promise<unknown>
}

/** Listens on this machine only; port 0 takes any that is free. */
export function listen(server: Server, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : port}`)
    })
  })
}
