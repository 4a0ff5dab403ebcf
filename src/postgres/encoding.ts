// The encoding of text between us and a server, which is UTF8 and no other. Asked where a server announces its parameters and
// where settings are read.
import { UsageError } from '../errors/index.ts'
import { isConforming, isUtf8 } from '../sql/settings.ts'

/** Why a parameter that a server announces cannot be lived with; null: it can. */
export function unreadable(name: string, value: string): UsageError | null {
  if (name === 'client_encoding' && !isUtf8(value)) return wrongEncoding(value)
  return name === 'standard_conforming_strings' && !isConforming(value) ? wrongStrings() : null
}

function wrongStrings(): UsageError {
  return new UsageError(
    'The server says that standard_conforming_strings is now off, but SQL is read as with on: quotes would end elsewhere. The connection ' +
      'was closed. Take the setting away from the role, database or function that makes it.',
    { outcome: 'unknown' },
  )
}

/** All text is written and read as UTF-8: another encoding would garble it. */
export function wrongEncoding(encoding: string): UsageError {
  return new UsageError(
    `The server says that client_encoding is now ${JSON.stringify(encoding)}, but text is sent and read as UTF8 only. The connection ` +
      'was closed before anything was garbled. Take the setting away from the role, database, function or client that makes it.',
    { outcome: 'unknown' },
  )
}
