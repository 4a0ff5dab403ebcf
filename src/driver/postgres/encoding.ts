// The encoding of text between us and a server, which is UTF8 and no other. Asked where a server announces its parameters and
// where settings are read.
import { UsageError } from '../../errors/index.ts'

/** All text is written and read as UTF-8: another encoding would garble it. */
export function wrongEncoding(encoding: string): UsageError {
  return new UsageError(
    `The server says that client_encoding is now ${JSON.stringify(encoding)}, but text is sent and read as UTF8 only. The connection ` +
      'was closed before anything was garbled. Take the setting away from the role, database, function or client that makes it.',
    { outcome: 'unknown' },
  )
}
