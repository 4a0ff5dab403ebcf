// The interfaces of row decoders. Types only.

/** With the methods that Node.js has beneath `toString`: for short fields they take half of the time. */
export interface Bytes extends Buffer {
  utf8Slice(start: number, end: number): string
  latin1Slice(start: number, end: number): string
}

/** Of the bytes from `start` to before `end`, which are not NULL. */
export type FieldReader = (bytes: Bytes, start: number, end: number) => unknown

/** The formats of columns, 0 for text and 1 for binary. Undefined: all are text. */
export type Formats = readonly number[] | undefined

/** Makes rows of the bytes of DataRows. */
export interface RowDecoder {
  /** Those in which its columns come. */
  formats: Formats
  /** The number of fields every row must have. */
  readonly width: number
  /** @param at Where the length of the first field is. @throws {ProtocolError} a misfit when the fields do not end at `end`. */
  push(bytes: Bytes, at: number, end: number, rows: unknown[]): void
}
