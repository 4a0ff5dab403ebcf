// `channelBinding: 'require'`: the password exchange must be bound to the certificate of the server, so that nobody in between
// can pass it on. node-postgres binds it where the server offers that; here a server that does not is refused.
import { UsageError } from '../../errors/index.ts'
import type { PgClient } from './client.ts'

const bound = 'SCRAM-SHA-256-PLUS'

/**
 * Call before the client connects; `refuse` is told at most once, before the password or a proof of it is sent.
 *
 * @throws {UsageError} when this version of node-postgres cannot bind.
 */
export function requireChannelBinding(client: PgClient, refuse: (error: UsageError) => void): void {
  if (!('enableChannelBinding' in client))
    throw new UsageError(
      "channelBinding: 'require' needs a newer version of the package pg. Install it: npm install pg",
    )
  const { connection } = client
  const stop = (reason: string): void =>
    refuse(
      new UsageError(
        `The server ${reason}, but channelBinding is 'require'. Use a server that offers ${bound}, or prove who it is by sslmode=verify-full instead.`,
      ),
    )
  let asked = false
  connection.prependListener('authenticationSASL', ({ mechanisms }) => {
    asked = mechanisms.includes(bound)
    if (!asked) stop(`does not offer ${bound}`)
  })
  connection.prependListener('authenticationCleartextPassword', () => stop('asks for the password in clear'))
  connection.prependListener('authenticationMD5Password', () => stop('asks for an MD5 password'))
  connection.prependListener('authenticationOk', () => {
    if (!asked) stop('does not ask for a password')
  })
}
