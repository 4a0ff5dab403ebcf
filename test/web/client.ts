/** An HTTP client that can leave at any moment. */

import { type Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { json, text } from 'node:stream/consumers'

export interface Reply {
  readonly status: number
  readonly body: any
}

interface Asking {
  readonly agent?: Agent
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends a request and leaves the rest to the caller; an error of its socket is nobody's. */
export function send(port: number, route: string, { agent, headers }: Asking = {}): ClientRequest {
  const [method, path] = route.split(' ')
  const sent = request({ host: '127.0.0.1', port, method, path, agent: agent ?? false, headers })
  sent.on('error', () => {})
  sent.end()
  return sent
}

/** `GET /path`: the answer when it is complete. */
export async function ask(port: number, route: string, asking: Asking = {}): Promise<Reply> {
  const response = await head(send(port, route, asking))
  const isJson = response.headers['content-type']?.includes('json') ?? false
  return { status: response.statusCode ?? 0, body: isJson ? await json(response) : await text(response) }
}

/** The head of the answer. */
export function head(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.once('response', resolve)
    sent.once('error', reject)
    sent.once('close', () => reject(new Error('closed without an answer')))
  })
}
