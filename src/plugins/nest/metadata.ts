// Metadata of classes and functions, where Nest keeps what decorators say.

/** What `reflect-metadata`, which Nest loads, adds to `Reflect`. */
interface Metadata {
  getMetadataKeys(target: object): unknown[]
  getMetadata(key: unknown, target: object): unknown
  defineMetadata(key: unknown, value: unknown, target: object): void
}

export const metadata = Reflect as unknown as Metadata
