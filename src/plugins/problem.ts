// What an error may tell a client: a problem as RFC 9457 has it, for errors that are the client's or a constraint's, and where the
// database cannot serve. Values, names of tables and texts of the server stay inside.
import { STATUS_CODES } from 'node:http'
import { isGeneverError, NotFoundError } from '../errors/index.ts'

/** The body of an answer of type `application/problem+json`. */
export interface Problem {
  readonly type: 'about:blank'
  /** The text of the status: `Conflict`. */
  readonly title: string
  readonly status: number
  /** The code of the error: `GENEVER_UNIQUE_VIOLATION`. */
  readonly code: string
  /** The message of a `NotFoundError`, which is meant for clients. */
  readonly detail?: string
}

export const problemType = 'application/problem+json'

/** Null for errors that suggest no status: these are faults of the program. Frameworks wrap what is thrown, some of them twice. */
export function problemOf(error: unknown): Problem | null {
  let found = error
  for (let depth = 0; depth < 3 && !isGeneverError(found); depth++) found = (Object(found) as { cause?: unknown }).cause
  if (!isGeneverError(found) || found.suggestedStatus === undefined) return null
  const { suggestedStatus: status, code } = found
  const problem = { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, code } as const
  return isGeneverError(found, NotFoundError) ? { ...problem, detail: found.message } : problem
}

/** Whether the framework would have logged the error. */
export const isFault = ({ status }: Pick<Problem, 'status'>): boolean => status >= 500

/** As a response of the Fetch API; null as `problemOf`. */
export function problemResponse(error: unknown): Response | null {
  const problem = problemOf(error)
  if (problem === null) return null
  return new Response(JSON.stringify(problem), { status: problem.status, headers: { 'content-type': problemType } })
}
