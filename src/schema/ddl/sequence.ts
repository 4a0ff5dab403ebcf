// Sequences, and the options they share with identity columns. What is not given is left to the server, whose defaults
// are those that Drizzle documents.
import { UsageError } from '../../errors/index.ts'
import type { SequenceOptions, SequenceParts } from '../source/parts.ts'
import { qualified } from '../text/names.ts'

export function sequenceSql({ seqName, schema, seqOptions }: SequenceParts): string {
  return ['create sequence', qualified(schema, String(seqName)), ...sequenceOptions(seqOptions)].join(' ')
}

const clauses = [
  ['increment', 'increment by'],
  ['minValue', 'minvalue'],
  ['maxValue', 'maxvalue'],
  ['startWith', 'start with'],
  ['cache', 'cache'],
] as const

/** @throws {UsageError} for what is no whole number. */
export function sequenceOptions(options: SequenceOptions = {}): string[] {
  const parts: string[] = []
  for (const [key, clause] of clauses) {
    const value = options[key]
    if (value === undefined) continue
    const text = String(value)
    if (!/^-?\d+$/.test(text)) throw new UsageError(`The option ${key} of a sequence is not a whole number.`)
    parts.push(`${clause} ${text}`)
  }
  if (options.cycle === true) parts.push('cycle')
  return parts
}
