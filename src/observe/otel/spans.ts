// Spans for statements and transactions. A span of a statement is made when the statement has ended, for only then is
// known what is to be said of it; all that is kept until then is its caller's context, which it belongs to. A span of a
// transaction is open meanwhile, as what runs in it belongs below it.
import {
  type StatementEvent,
  type StatementStartEvent,
  statementChannel,
  statementStartChannel,
  type TransactionEvent,
  transactionChannel,
} from '../channels.ts'
import type { OtelApi, OtelContext, OtelSpan, OtelTracer } from './api.ts'
import { errorAttributes, poolName, serverAttributes, spanName, told, queryText } from './attributes.ts'
import { aheadMs, clock } from '../../util/clock.ts'

const ahead = aheadMs()

/** For spans, whose times stand beside those of other libraries. */
const spanTime = (): number => clock.now() + ahead

interface Started {
  readonly context: OtelContext
  /** A `spanTime`. */
  readonly at: number
}

interface OpenTransaction {
  readonly span: OtelSpan
  /** The span that was active where it began. */
  readonly around: OtelSpan | undefined
}

/** Notes about work that goes on, by its number. A note is emptied when its work has ended, because a Map keeps it, as `Line` says. */
class Ongoing<T extends object> {
  readonly #cells = new Map<number, { known: T | undefined }>()

  add(id: number, known: T): void {
    this.#cells.set(id, { known })
  }

  of(id: number): T | undefined {
    return this.#cells.get(id)?.known
  }

  /** It has ended. */
  take(id: number): T | undefined {
    const cell = this.#cells.get(id)
    if (cell === undefined) return undefined
    const { known } = cell
    cell.known = undefined
    this.#cells.delete(id)
    return known
  }

  takeAll(): T[] {
    return [...this.#cells.keys()].flatMap((id) => this.take(id) ?? [])
  }
}

export class Spans {
  readonly #api: OtelApi
  readonly #tracer: OtelTracer
  readonly #statements = new Ongoing<Started>()
  readonly #transactions = new Ongoing<OpenTransaction>()

  constructor(api: OtelApi, tracer: OtelTracer) {
    this.#api = api
    this.#tracer = tracer
    statementStartChannel.subscribe(this.#onStart)
    statementChannel.subscribe(this.#onEnd)
    transactionChannel.subscribe(this.#onTransaction)
  }

  /** Transactions that are still open have spans up to here. */
  stop(): void {
    statementStartChannel.unsubscribe(this.#onStart)
    statementChannel.unsubscribe(this.#onEnd)
    transactionChannel.unsubscribe(this.#onTransaction)
    for (const { span } of this.#transactions.takeAll()) span.end()
    this.#statements.takeAll()
  }

  readonly #onStart = told(({ id }: StatementStartEvent): void => {
    this.#statements.add(id, { context: this.#api.context.active(), at: spanTime() })
  })

  readonly #onEnd = told((event: StatementEvent): void => {
    const started = this.#statements.take(event.id)
    if (started === undefined) return
    const { operation, server, error } = event
    const span = this.#tracer.startSpan(
      spanName(operation, server),
      {
        kind: this.#api.SpanKind.CLIENT,
        startTime: started.at,
        attributes: {
          ...serverAttributes(server),
          [poolName]: event.engine,
          ...(operation === '' ? {} : { 'db.operation.name': operation }),
          'db.query.text': queryText(event.sql, event.parameters),
          'genever.wait_time': event.waitMs / 1000,
          ...(error === undefined ? { 'db.response.returned_rows': event.returnedRows } : errorAttributes(error)),
          ...(event.outcome === undefined ? {} : { 'genever.outcome': event.outcome }),
        },
      },
      this.#below(event.transaction, started.context),
    )
    if (error !== undefined) span.setStatus({ code: this.#api.SpanStatusCode.ERROR })
    span.end(spanTime())
  })

  readonly #onTransaction = told((event: TransactionEvent): void => {
    if (event.event === 'begin') this.#begin(event)
    else this.#finish(event)
  })

  #begin({ id, parent, server, engine, durationMs }: TransactionEvent): void {
    const context = this.#api.context.active()
    const operation = parent === null ? 'TRANSACTION' : 'SAVEPOINT'
    const span = this.#tracer.startSpan(
      spanName(operation, server),
      {
        kind: this.#api.SpanKind.INTERNAL,
        startTime: spanTime() - durationMs,
        attributes: {
          ...serverAttributes(server),
          [poolName]: engine,
          'db.operation.name': operation,
          'genever.wait_time': durationMs / 1000,
        },
      },
      this.#below(parent, context),
    )
    this.#transactions.add(id, { span, around: this.#api.trace.getSpan(context) })
  }

  #finish({ id, event, error }: TransactionEvent): void {
    const open = this.#transactions.take(id)
    if (open === undefined) return
    const failure = error ?? (event === 'unknown' ? event : undefined)
    open.span.setAttributes({ 'genever.transaction.end': event, ...errorAttributes(failure) })
    if (failure !== undefined) open.span.setStatus({ code: this.#api.SpanStatusCode.ERROR })
    open.span.end(spanTime())
  }

  /** The context of the caller, with the span of the transaction on top unless the caller opened one of its own inside. */
  #below(transaction: number | null, context: OtelContext): OtelContext {
    const open = transaction === null ? undefined : this.#transactions.of(transaction)
    if (open === undefined || this.#api.trace.getSpan(context) !== open.around) return context
    return this.#api.trace.setSpan(context, open.span)
  }
}
