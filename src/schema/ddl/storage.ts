// `with (name = value, …)` of indexes and views.
import { UsageError } from '../../errors/index.ts'
import { literal } from '../text/literal.ts'

/** Names as Drizzle writes them, `securityBarrier`, or as the server does. @throws {UsageError} for others. */
export function storageSql(keyword: string, options: Readonly<Record<string, unknown>> = {}): string[] {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined && value !== null)
  if (entries.length === 0) return []
  return [`${keyword} (${entries.map(([name, value]) => `${nameOf(name)} = ${literal(value)}`).join(', ')})`]
}

function nameOf(name: string): string {
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  if (!/^[a-z_][a-z0-9_.]*$/.test(snake))
    throw new UsageError('The name of a storage parameter has other signs than letters.')
  return snake
}
