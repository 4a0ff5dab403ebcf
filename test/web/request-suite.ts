/** What every plug-in does for requests, as sentences, over real sockets and on real databases. */

import { describe } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'
import type { Adapter } from './adapter.ts'
import { answersOfErrors } from './request/answers.ts'
import { streamedBodies } from './request/body.ts'
import { connections } from './request/connection.ts'
import { leavingClients } from './request/leaving.ts'
import { requestTest } from './request/request-test.ts'
import { storms } from './request/storm.ts'
import { transactions } from './request/transaction.ts'

/** Declares the suite for one framework. */
export function requestSuite(adapter: Adapter): void {
  describe(adapter.name, () =>
    forEachDriver((driver) => {
      const tested = requestTest(adapter, driver)
      connections(tested)
      answersOfErrors(tested)
      leavingClients(tested)
      streamedBodies(tested)
      transactions(tested)
      storms(tested)
    }),
  )
}
