// Subscribers that call the tracer or meter they were given: what that throws must neither end the process nor keep the
// statement's caller waiting.
import { contain } from '../../util/thrown.ts'
import { hookFailed } from '../notice.ts'

/** Calls `tell` with each event; what it throws is told as the notice `hook-failed`. */
export function told<E>(tell: (event: E) => void): (event: E) => void {
  return (event) =>
    contain(
      () => tell(event),
      (thrown) => hookFailed('The tracer or meter of OpenTelemetry failed; an event is missing there.', thrown),
    )
}
