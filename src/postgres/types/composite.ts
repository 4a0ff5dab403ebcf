// Composite types, and the rows of tables, as objects.
import { ProtocolError } from '../../errors/index.ts'
import type { TypeConversion, TypeParts } from '../../sql/conversions.ts'
import { checkMembers, pieceText, Pieces, unreadable, unwritable } from './pieces.ts'

function membersOf(text: string): (string | null)[] {
  const members: (string | null)[] = []
  if (text === '()') return members
  const pieces = new Pieces(text, 1)
  for (;;) {
    members.push(pieces.next(',)'))
    const end = pieces.take()
    if (end === ')' && pieces.at === text.length && text[0] === '(') return members
    if (end !== ',') return unreadable('composite type')
  }
}

function read(text: string, { name, fields, forget }: TypeParts): unknown {
  const members = text === '()' && fields.length === 1 ? [null] : membersOf(text)
  // Nobody knows what an anonymous record is made of.
  if (fields.length === 0) return members
  if (members.length !== fields.length) {
    forget()
    throw new ProtocolError(
      `A value of the composite type ${name} has ${members.length} members, and the type had ${fields.length} when it was looked up: another program has changed it. Run the statement again.`,
    )
  }
  return Object.fromEntries(
    fields.map((field, at) => {
      const member = members[at] ?? null
      return [field.name, member === null ? null : field.read(member)]
    }),
  )
}

function write(value: object, { fields, name: type }: TypeParts): string {
  const given = value as Readonly<Record<string, unknown>>
  if (Array.isArray(value)) {
    if (value.length !== fields.length)
      unwritable(type, `a list of all its ${fields.length} members, or an object with them`)
  } else
    checkMembers(
      type,
      given,
      fields.map(({ name }) => name),
    )
  const members = Array.isArray(value)
    ? fields.map(({ write: text }, at) => text((value as unknown[])[at]))
    : fields.map(({ name, write: text }) => (Object.hasOwn(given, name) ? text(given[name]) : null))
  return `(${members.map(pieceText).join(',')})`
}

/**
 * A composite type, or the row of a table, as an object with its members: they become what columns of their types become. A record
 * without a type, as of `row(1, 'a')`, becomes a list of texts, because PostgreSQL does not say what it is made of.
 */
export const composite: TypeConversion = {
  list: false,
  over: (parts) => ({ read: (text) => read(text, parts), write: (value) => write(value, parts) }),
}
