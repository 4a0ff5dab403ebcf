// How operations of the fake driver end: rows become what was asked for, and failures are judged like those of a server.
import { type Failure, type Op, OpState } from '../driver.ts'
import type { ColumnSpec } from '../../sql/compiled.ts'
import { shapeOf } from '../row-tree.ts'
import { loseAll, settleFailed, statusAfter, type Status, type UnitState } from '../postgres/outcome.ts'
import type { End, Flight } from './backend.ts'
import type { Rows } from './session.ts'

/** Tells every operation of an answered unit, in order. */
export function settleAnswered(flight: Flight, before: Status): void {
  const { ops, ends, status } = flight
  const steps = ops.map((op, i) => ({ op, failure: unreadable(op, ends[i]) }))
  const last = ends.at(-1)
  const error = last !== undefined && 'error' in last ? last.error : null
  settleFailed(steps, error === null ? Infinity : ends.length - 1, error, status, known(flight, before))
}

/** Nothing of the unit was sent, because one of its operations cannot be written. */
export function settleUnsent(flight: Flight, culprit: Op, cause: unknown): void {
  const failure: Failure = { kind: 'encode', outcome: 'not_started', cause }
  const steps = flight.ops.map((op) => ({ op, failure: op === culprit ? failure : null }))
  settleFailed(steps, flight.ops.indexOf(culprit), null, 'idle', known(flight, 'idle'))
}

/** Tells every operation in flight that the connection broke, in a session of this status. */
export function settleLost(flights: readonly Flight[], failure: Failure, status: Status): void {
  let before = status
  flights.forEach((flight, i) => {
    const after = statusAfter(before, flight.ops)
    const behind = after === 'idle' ? [] : flights.slice(i + 1).flatMap(({ ops, sent }) => (sent ? ops : []))
    loseAll(failure, null, known(flight, before), behind)
    before = after
  })
}

function known({ ops, sent, ends }: Flight, before: Status): UnitState {
  const committed =
    ends.some((end) => 'tag' in end && end.tag === 'COMMIT') ||
    ops.some(({ stmt }) => stmt.cls === 'multi' && stmt.hasControl)
  return { ops, before, sent, committed, written: sent ? ops.length : 0, synced: sent }
}

/** Its rows go to the operation, unless they cannot be read. */
function unreadable(op: Op, end: End | undefined): Failure | null {
  if (end === undefined || 'error' in end) return null
  if ('unreadable' in end) return { kind: 'decode', outcome: 'unknown', cause: end.unreadable }
  try {
    for (const each of end.each ?? [])
      op.results?.push({ ...each, rows: fill(op, each, []), fields: [], columns: null })
    fill(op, end, op.rows)
    return null
  } catch (cause) {
    return { kind: 'decode', outcome: 'unknown', cause }
  }
}

/** Throws what a decoder threw. The answer of an abandoned operation is thrown away. */
function fill(op: Op, { rows, columns, tag, count }: Rows, target: unknown[]): unknown[] {
  op.tag = tag
  const limited = op.maxRows > 0 && rows.length > op.maxRows ? rows.slice(0, op.maxRows) : rows
  op.count = limited === rows ? count : limited.length
  if (op.state >= OpState.abandoned) return target
  for (const row of limited) {
    const listed = Array.isArray(row)
    const names = listed ? row.map((_, i) => columns?.[i] ?? `column${i + 1}`) : Object.keys(row)
    const spec = op.spec?.byNames?.(names) ?? op.spec
    const given: readonly unknown[] = listed ? row : Object.values(row)
    const values = given.map((value, i) => decode(value, spec?.columns?.[i]))
    const nulls = given.map((value) => value === null)
    const made = shapeOf(names, spec)(values, nulls)
    if (spec?.fold === undefined) target.push(made)
    else spec.fold(target, made)
  }
  return target
}

function decode(value: unknown, column: ColumnSpec | undefined): unknown {
  if (value === null || value === undefined || column === undefined) return value
  const wire = conversions[column.mode](value)
  return column.map === undefined ? wire : column.map(wire)
}

const conversions: Readonly<Record<ColumnSpec['mode'], (value: unknown) => unknown>> = {
  default: (value) => value,
  string: textOf,
  'raw-text': textOf,
  number: Number,
  bigint: (value) => BigInt(value as string | number),
  date: (value) => new Date(value as string | number),
  json: (value) => (typeof value === 'string' ? JSON.parse(value) : value),
  buffer: (value) => (typeof value === 'string' ? Buffer.from(value) : value),
}

/** A value as text, as the wire would have it. */
export function textOf(value: unknown): string {
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'string' || typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? '')
}
