// Conversions for types that a database has only with an extension, and the binary form of such types beside their text. Apart from other
// conversions: `genever/types` imports it, and loads nothing of Node.
import type { TypeConversion } from '../../sql/conversions.ts'

/** How values of a type travel in binary: the same values as in its text. */
export interface BinaryForm {
  /** @throws {ProtocolError} for what is no value of the type. */
  readonly read: (bytes: Uint8Array, start: number, end: number) => unknown
  /** Null: it has to be written as text. */
  readonly write: (value: object) => Uint8Array | null
}

/** By the name of the type. */
type Forms = Readonly<Record<string, BinaryForm>>

const extensions = new WeakMap<object, readonly string[]>()
/** By the functions that read and write the text: an object with another one has nothing to do with it. */
const forms = new WeakMap<object, { readonly extension: string; readonly of: Forms }>()

/** Under these names the conversion is allowed to have nothing to do. */
export function ofExtension<C extends TypeConversion>(names: readonly string[], conversion: C): C {
  extensions.set(conversion, names)
  return conversion
}

export function isOfExtension(conversion: object, name: string): boolean {
  return extensions.get(conversion)?.includes(name) === true
}

/** The types that an extension has under these names also travel in binary. */
export function inBinary<C extends TypeConversion>(extension: string, of: Forms, conversion: C): C {
  for (const each of [conversion.read, conversion.write]) if (each !== undefined) forms.set(each, { extension, of })
  return conversion
}

/** What reads or writes the type in binary, beside a function that reads or writes its text. Null: it travels as text. */
export function formBeside(
  text: object | undefined,
  type: { readonly name: string; readonly extension: string } | undefined,
): BinaryForm | null {
  const found = text === undefined || type === undefined ? undefined : forms.get(text)
  return found === undefined || found.extension !== type?.extension ? null : (found.of[type.name] ?? null)
}
