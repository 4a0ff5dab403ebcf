/** What an engine published, kept in lists. */

import {
  type ConnectionEvent,
  connectionChannel,
  type EventChannel,
  type LeaseEvent,
  leaseChannel,
  type NoticeEvent,
  noticeChannel,
  type ServerMessageEvent,
  serverMessageChannel,
  type StatementEvent,
  type StatementStartEvent,
  statementChannel,
  statementStartChannel,
  type TransactionEvent,
  transactionChannel,
  type WaitEvent,
  waitChannel,
} from '../../src/observe/channels.ts'

export interface Heard extends Disposable {
  readonly starts: StatementStartEvent[]
  readonly statements: StatementEvent[]
  readonly connections: ConnectionEvent[]
  readonly leases: LeaseEvent[]
  readonly waits: WaitEvent[]
  readonly transactions: TransactionEvent[]
  readonly notices: NoticeEvent[]
  readonly messages: ServerMessageEvent[]
}

/** Listens to all that engines of this name publish, until disposed of. */
export function hear(engine: string): Heard {
  const stops: (() => void)[] = []
  const listen = <E extends { readonly engine: string | null }>(channel: EventChannel<E>): E[] => {
    const events: E[] = []
    const keep = (event: E): void => {
      if (event.engine === engine) events.push(event)
    }
    channel.subscribe(keep)
    stops.push(() => channel.unsubscribe(keep))
    return events
  }
  return {
    starts: listen(statementStartChannel),
    statements: listen(statementChannel),
    connections: listen(connectionChannel),
    leases: listen(leaseChannel),
    waits: listen(waitChannel),
    transactions: listen(transactionChannel),
    notices: listen(noticeChannel),
    messages: listen(serverMessageChannel),
    [Symbol.dispose]() {
      for (const stop of stops) stop()
    },
  }
}
