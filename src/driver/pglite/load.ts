// Loads PGlite when the first database is opened. The only place that names the package at run time; what the driver uses
// of it is described by its shape, so that none of its types reaches our declarations.
import { DriverNotInstalledError } from '../../errors/index.ts'

export interface PgliteModule {
  readonly PGlite: { create(dataDirectory: string): Promise<Pglite> }
}

export interface Pglite {
  /** Runs the messages at once, without its own locks, and gives all that the server answers. */
  execProtocolRaw(messages: Uint8Array): Promise<Uint8Array>
  close(): Promise<void>
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
