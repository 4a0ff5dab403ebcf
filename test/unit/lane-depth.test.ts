/** How many reads like one may be in flight on a shared connection, by what is known of its time. */

import { describe, expect, test } from 'vitest'
import { ServiceTime, ServiceTimes } from '../../src/pool/service-times.ts'

const connectMs = 0.6

/** Runs that took so long each, one at a time. */
function known(services: ServiceTimes, ms: number): ServiceTime {
  const service = new ServiceTime()
  for (let run = 0; run < 8; run++) services.note(service, ms, ms, connectMs)
  return service
}

describe('the depth of a lane', () => {
  test('is what keeps the server busy for the trip and a millisecond, and 1 at least', () => {
    const services = new ServiceTimes()
    known(services, 0.2)
    const service = known(services, 1.2)

    expect(services.depth(service, 0.2, false)).toBe(2)
    expect(services.depth(known(services, 4.2), 0.2, false)).toBe(1)
  })

  test('follows the quickest of the groups with one Sync, not a mean that a busy machine has made long', () => {
    const services = new ServiceTimes()
    known(services, 0.2)
    const service = known(services, 4.2)

    expect(services.depth(service, 0.2, true)).toBe(2)
    for (const eachMs of [2, 0.1, 3]) service.noteBatch(eachMs)

    expect(services.depth(service, 0.2, true)).toBeGreaterThanOrEqual(8)
    expect(services.depth(service, 0.2, true)).toBeLessThanOrEqual(12)
  })

  test('shrinks again when no group is as quick any more', () => {
    const services = new ServiceTimes()
    known(services, 0.2)
    const service = known(services, 4.2)
    service.noteBatch(0.1)

    for (let group = 0; group < 200; group++) service.noteBatch(4)

    expect(services.depth(service, 0.2, true)).toBe(2)
  })

  test('is 32 at the most', () => {
    const services = new ServiceTimes()
    const service = known(services, 0.2)
    service.noteBatch(0.000_1)

    expect(services.depth(service, 0.2, true)).toBe(32)
  })
})
