// Request and response of `node:http` behind those of Nest's platforms: Express extends them, Fastify wraps them.
import type { ArgumentsHost } from '@nestjs/common'
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface RawExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The status as it is set so far. */
  readonly status: () => number
}

export function rawOf(host: ArgumentsHost): RawExchange {
  const http = host.switchToHttp()
  const request = http.getRequest<IncomingMessage & { raw?: IncomingMessage }>()
  const response = http.getResponse<ServerResponse & { raw?: ServerResponse }>()
  return {
    request: request.raw ?? request,
    response: response.raw ?? response,
    status: () => response.statusCode,
  }
}
