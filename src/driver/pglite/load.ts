// Loads PGlite when the first database is opened. This is the only place that names the package at run time. The parts of it that the
// driver uses are described by their shape, so none of its types reaches our declarations.
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

const usualSize = 1 << 16
/** Of what is kept from answer to answer. */
const keptSize = 1 << 22

/** Where an answer is gathered. One that is used again and again leaves nothing to collect. */
export class Answer {
  #bytes = Buffer.allocUnsafeSlow(usualSize)
  #length = 0

  begin(): void {
    this.#length = 0
    if (this.#bytes.length > keptSize) this.#bytes = Buffer.allocUnsafeSlow(usualSize)
  }

  add(part: Uint8Array): void {
    const end = this.#length + part.length
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * end)
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    this.#bytes.set(part, this.#length)
    this.#length = end
  }

  /** Valid until the next answer begins. */
  get whole(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
}

/** Runs the messages and gives all that the server answers. */
export async function speak(pglite: Pglite, messages: Uint8Array, answer: Answer = new Answer()): Promise<Buffer> {
  if (pglite.execProtocolRawStream === undefined) {
    const { buffer, byteOffset, byteLength } = await pglite.execProtocolRaw(messages)
    return Buffer.from(buffer, byteOffset, byteLength)
  }
  answer.begin()
  await pglite.execProtocolRawStream(messages, { onRawData: (part) => answer.add(part) })
  return answer.whole
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
