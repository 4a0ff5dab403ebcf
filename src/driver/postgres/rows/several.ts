// The results of a text with several statements. The rows of the operation are those of the last statement; an operation that asks for
// them gets the results of all.
import type { Op, StatementResult } from '../../driver.ts'
import type { Field } from '../../../sql/compiled.ts'
import { Phase, type Step } from '../step.ts'

/** Whether the rows of a statement may begin: also those of the next query that a rule has added to it. */
export function isSimple(due: number): boolean {
  return due === Phase.simple || due === Phase.simpleRows || due === Phase.simpleMore
}

/** The rows of the next statement begin, or those of one more query of the same statement. They take the place of the rows before. */
export function beginRows(step: Step, fields: readonly Field[], as: Parameters<Step['describe']>[2]): void {
  if (step.due === Phase.simpleRows) step.op.results?.pop()
  nextResult(step.op, fields)
  step.received = 0
  step.due = Phase.simpleRows
  step.describe(fields, true, as)
}

/** A statement has ended, and its operation knows its tag and count. */
export function endRows(step: Step): void {
  const { op } = step
  if (!step.givesRows) {
    nextResult(op, [])
    step.decoder = null
  }
  const result = op.results?.at(-1)
  if (result === undefined) return
  result.tag = op.tag
  result.count = op.count
  result.columns = step.decoder
}

/** The result of the last statement has the rows of the operation, until the next one needs them. */
function nextResult({ results, rows }: Op, fields: readonly Field[]): void {
  if (results) {
    const last: StatementResult | undefined = results.at(-1)
    if (last?.rows === rows) last.rows = [...rows]
    results.push({ tag: '', count: -1, rows, fields, columns: null })
  }
  rows.length = 0
}
