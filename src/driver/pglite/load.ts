// Loads PGlite when the first database is opened. The only place that names the package at run time; what the driver uses
// of it is described by its shape, so that none of its types reaches our declarations.
import { DriverNotInstalledError } from '../../errors/index.ts'

export interface PgliteModule {
  readonly PGlite: { create(dataDirectory: string): Promise<Pglite> }
}

export interface Pglite {
  /** Runs the messages at once, without its own locks, and gives all that the server answers; newer ones keep it too. */
  execProtocolRaw(messages: Uint8Array): Promise<Uint8Array>
  /** The same, in parts that are gone when the call returns; nothing is kept. Older ones do not have it, and keep nothing. */
  execProtocolRawStream?(
    messages: Uint8Array,
    options: { readonly onRawData: (part: Uint8Array) => void },
  ): Promise<void>
  /** Its own lock: taken by each of its queries and for the length of its transactions. */
  _runExclusiveTransaction<T>(work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Runs the messages and gives all that the server answers. */
export async function speak(pglite: Pglite, messages: Uint8Array): Promise<Buffer> {
  if (pglite.execProtocolRawStream === undefined) {
    const { buffer, byteOffset, byteLength } = await pglite.execProtocolRaw(messages)
    return Buffer.from(buffer, byteOffset, byteLength)
  }
  const parts: Buffer[] = []
  await pglite.execProtocolRawStream(messages, { onRawData: (part) => void parts.push(Buffer.from(part)) })
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** @throws {DriverNotInstalledError} */
export async function loadPglite(): Promise<PgliteModule> {
  const pglite: unknown = await importPglite()
  return pglite as PgliteModule
}

async function importPglite(): Promise<unknown> {
  try {
    return await import('@electric-sql/pglite')
  } catch (cause) {
    const text =
      'The driver pglite needs the package "@electric-sql/pglite". Install it: npm install @electric-sql/pglite'
    throw new DriverNotInstalledError(text, { cause })
  }
}
