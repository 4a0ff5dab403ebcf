// How operations end on the client's side of the fake driver: rows become what the operation asked for, refusals become
// failures, and a broken connection gives each operation in flight its own outcome. Pure, but for the operations told.
import type { Failure, Op, Outcome } from '../driver.ts'
import type { ColumnSpec, RowSpec } from '../../sql/compiled.ts'
import type { End, Flight } from './backend.ts'
import type { Fields, Rows } from './session.ts'
import { controlOf } from './statements.ts'
import { textOf } from './values.ts'

/** Tells every operation of an answered unit, in order. */
export function settle(flight: Flight): void {
  let cause: Failure | undefined
  flight.ops.forEach((op, i) => {
    const end = flight.ends[i]
    if (end !== undefined && 'error' in end) cause ??= refusal(flight, op, end.error)
  })
  flight.ops.forEach((op, i) => {
    const end: End = flight.ends[i] ?? { skipped: true }
    if ('error' in end) op.fail(refusal(flight, op, end.error))
    else if ('skipped' in end) op.fail({ kind: 'skipped', outcome: 'not_started', cause })
    else if ('undone' in end) op.fail({ kind: 'skipped', outcome: 'rolled_back', cause })
    else if ('unreadable' in end) op.fail(unreadable(flight, op, end.unreadable))
    else {
      const error = fill(op, end)
      if (error === null) op.done()
      else op.fail(unreadable(flight, op, error.cause))
    }
  })
}

/** What is known of each operation in flight when the connection breaks in a session of this status. */
export function lossOutcomes(flights: readonly Flight[], status: 'idle' | 'tx' | 'failed'): Map<Op, Outcome> {
  const outcomes = new Map<Op, Outcome>()
  let block: 'none' | 'open' | 'failed' = status === 'idle' ? 'none' : status === 'tx' ? 'open' : 'failed'
  let inside: Op[] = []
  for (const { ops, sent } of flights) {
    for (const op of ops) {
      const { cls, text } = op.stmt
      const decides = cls === 'multi' || cls === 'alone'
      const verb = !sent ? undefined : decides ? 'commit' : controlOf(text)?.verb
      if (verb === 'begin') block = 'open'
      if (!sent) outcomes.set(op, 'not_started')
      else if (verb === 'rollback') outcomes.set(op, 'rolled_back')
      else if (verb === 'commit' && block !== 'failed')
        for (const each of [...inside, op]) outcomes.set(each, 'unknown')
      else outcomes.set(op, block === 'none' ? 'unknown' : 'rolled_back')
      if (verb === 'commit' || verb === 'rollback') {
        block = 'none'
        inside = []
      } else if (block !== 'none') inside.push(op)
    }
  }
  return outcomes
}

/** What commits by itself, or hides a COMMIT, may have kept something before it failed. */
function refusal({ status }: Flight, { stmt }: Op, fields: Fields): Failure {
  const { cls, hasControl } = stmt
  const partly = fields['code'] === '40003' || (cls === 'alone' && status === 'idle') || (cls === 'multi' && hasControl)
  return { kind: 'server', outcome: partly ? 'unknown' : 'rolled_back', fields }
}

/** The statement ran, only its answer is of no use; inside a transaction its owner will roll back. */
function unreadable({ status }: Flight, { stmt }: Op, cause: unknown): Failure {
  return { kind: 'decode', outcome: status === 'idle' && stmt.cls !== 'read' ? 'committed' : 'rolled_back', cause }
}

/** Null, or what a decoder threw. The answer of an abandoned operation is thrown away. */
function fill(op: Op, { rows, columns, tag, count }: Rows): { readonly cause: unknown } | null {
  op.tag = tag
  const limited = op.maxRows > 0 && rows.length > op.maxRows ? rows.slice(0, op.maxRows) : rows
  op.count = limited === rows ? count : limited.length
  if (op.state >= 2) return null
  try {
    for (const row of limited) {
      const named = Array.isArray(row)
        ? row.map((value, i): [string, unknown] => [columns?.[i] ?? `column${i + 1}`, value])
        : Object.entries(row)
      const made = shape(op.spec, named)
      if (op.spec?.fold === undefined) op.rows.push(made)
      else op.spec.fold(op.rows, made)
    }
    return null
  } catch (cause) {
    return { cause }
  }
}

function shape(spec: RowSpec | null, row: readonly (readonly [string, unknown])[]): unknown {
  if (spec === null) return Object.fromEntries(row)
  const values = row.map(([, value], i) => decode(value, spec.columns?.[i]))
  if (spec.into === 'scalar') return values[0]
  if (spec.into === 'array') return values
  const made = (spec.make?.() ?? {}) as Record<string, unknown>
  const filled = new Set<number>()
  row.forEach(([, value], i) => {
    const group = spec.columns?.[i]?.nullGroup
    if (group !== undefined && value !== null) filled.add(group)
  })
  row.forEach(([name], i) => {
    const column = spec.columns?.[i]
    const path = column?.path ?? [name]
    const group = column?.nullGroup
    if (group !== undefined && !filled.has(group)) place(made, path.length > 1 ? path.slice(0, -1) : path, null)
    else place(made, path, values[i])
  })
  return made
}

function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target
  for (const name of path.slice(0, -1)) at = (at[name] ??= {}) as Record<string, unknown>
  const name = path.at(-1)
  if (name !== undefined) at[name] = value
}

function decode(value: unknown, column: ColumnSpec | undefined): unknown {
  if (value === null || value === undefined || column === undefined) return value
  const wire = converted(value, column.mode)
  return column.map === undefined ? wire : column.map(wire)
}

function converted(value: unknown, mode: ColumnSpec['mode']): unknown {
  switch (mode) {
    case 'string':
    case 'raw-text':
      return textOf(value)
    case 'number':
      return Number(value)
    case 'bigint':
      return BigInt(value as string | number)
    case 'date':
      return new Date(value as string | number)
    case 'json':
      return typeof value === 'string' ? (JSON.parse(value) as unknown) : value
    case 'buffer':
      return typeof value === 'string' ? Buffer.from(value) : value
    case 'default':
    default:
      return value
  }
}
