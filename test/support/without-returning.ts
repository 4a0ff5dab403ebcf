/**
 * A server of MySQL 8 for tests, as far as RETURNING goes: what comes in is passed on to the MariaDB of this run. It says that it is MySQL,
 * and refuses every statement with RETURNING as a syntax error.
 */

import { type MysqlFront, mysqlFront, packetOf } from './mysql-front.ts'

export interface WithoutReturning extends MysqlFront {
  /** Statements with RETURNING that came in. */
  readonly refused: readonly string[]
  /** Texts that were passed on, in order. */
  readonly texts: readonly string[]
}

/** Listens in front of the server of that URL. */
export async function withoutReturning(url: string): Promise<WithoutReturning> {
  const refused: string[] = []
  const texts: string[] = []
  const front = await mysqlFront(url, {
    greeting: asMysql8,
    text(text) {
      const refuses = /\breturning\b/i.test(text)
      ;(refuses ? refused : texts).push(text)
      return refuses ? syntaxError() : null
    },
  })
  return { ...front, refused, texts }
}

/** The handshake, in which a server says its version: protocol 10, the version, a zero. */
function asMysql8(handshake: Buffer): Buffer {
  return packetOf(Buffer.concat([Buffer.from('\n8.0.40\0'), handshake.subarray(handshake.indexOf(0, 5) + 1)]), 0)
}

function syntaxError(): Buffer {
  return packetOf(Buffer.concat([Buffer.from([0xff, 1064 & 0xff, 1064 >> 8]), Buffer.from('#42000near RETURNING')]), 1)
}
