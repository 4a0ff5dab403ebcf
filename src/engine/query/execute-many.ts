// `executeMany()`: one statement with many sets of parameters, in one transaction.
import { captureStack, GeneverError, UsageError } from '../../errors/index.ts'
import { Recipe } from '../../sql/baked.ts'
import type { DrizzleCommand, Params, Query } from '../../sql/statement.ts'
import { describeType, readAgain } from '../../util/options.ts'
import type { Handle } from '../context/frame.ts'
import { callOptions, placeOf } from '../handle.ts'
import { afterOpening } from '../open/opening.ts'
import type { TransactionTerms } from '../transaction/terms.ts'
import { answer, execute, Status } from './execute.ts'
import { builtQuery, copied, type ReadTerms, type RowTerms, severalStatements, withoutRows } from './query-terms.ts'
import type { Runner } from './runner.ts'

const manyChecks = withoutRows('a count')

/**
 * Runs one statement with each set of parameters, all or nothing.
 * @throws {UsageError} when `sets` is not a list, or the text holds several statements.
 */
export async function executeMany(
  executor: Runner,
  given: Query<unknown> | DrizzleCommand | Recipe | string,
  sets: readonly Params[],
  options: ReadTerms | Handle | undefined,
): Promise<Status<never>> {
  const method = 'executeMany()'
  const { on, from, ...limits } = callOptions<RowTerms>(options, manyChecks, method)
  if (from === 'replica')
    throw new UsageError("executeMany() runs in a transaction, so it has no option from: 'replica'. Leave it out.")
  if (!Array.isArray(sets))
    throw new UsageError(`executeMany() takes a list of parameter sets, not ${describeType(sets)}.`)
  const lists = copied(sets)
  const place = placeOf(on, executor, method)
  const here = place.engineHere()
  const left = here instanceof Promise ? await afterOpening<ReadTerms>(here, readAgain(limits)) : readAgain(limits)
  const { statements, dialect } = here instanceof Promise ? await here : here
  const query = typeof given === 'string' || given instanceof Recipe ? given : Recipe.of(dialect, builtQuery(given))
  const compiled =
    typeof query === 'string' ? statements.compile(query).compiled : query.plan.for(dialect).on(statements)
  if (lists.length === 0) return new Status('', 0, [])
  if (compiled.cls === 'multi') throw severalStatements(compiled)
  const engine = here instanceof Promise ? await here : here
  let issued: readonly Promise<Status<never>>[] = []
  const work = async (tx: Runner): Promise<Status<never>> => {
    issued = lists.map((params) => execute<never, Status<never>>(tx, answer, query, params, left))
    const statuses = await Promise.all(issued)
    const count = statuses.reduce((sum, status) => sum + (status.rowCount ?? 0), 0)
    return new Status<never>(statuses[0]?.command ?? '', count, [])
  }
  const terms = readAgain<TransactionTerms>({ timeoutMs: left.timeoutMs, signal: left.signal })
  try {
    return await engine.transact({ ...place.placeHere(true, engine), batch: true }, work, terms)
  } catch (error) {
    throw await ofSet(error, issued)
  }
}

/** The error says which set it is of. The sets behind that one have errors that say that they did not run. */
async function ofSet(error: unknown, issued: readonly Promise<unknown>[]): Promise<unknown> {
  if (!(error instanceof GeneverError)) return error
  // Made inside of the transaction, where the line of the caller may be cut off.
  captureStack(error, ofSet)
  const ends = await Promise.allSettled(issued)
  const at = ends.findIndex((end) => end.status === 'rejected' && end.reason === error)
  if (at !== -1) error.parameterSet = at
  return error
}
