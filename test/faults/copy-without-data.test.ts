/** A COPY that the server ends before it has begun: who has data for it, or waits for some, must not take it for done. */

import { ProtocolError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { until } from '../support/until.ts'
import { message } from './messages.ts'
import { site, type Site, sound } from './support.ts'

const ended = Buffer.concat([message('C', 'COPY 3\0'), message('Z', 'I')])

async function rowsOf(data: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of data) bytes += chunk.length
  return bytes
}

describe.each(['socket', 'pg'] as const)('driver %s', (driver) => {
  test.each<[string, string, (place: Site) => Promise<unknown>]>([
    ['copyFrom()', 'G', ({ db }) => db.copyFrom('t').from('1\n2\n3\n')],
    ['copyFrom() in a transaction', 'G', ({ db }) => db.transaction(() => db.copyFrom('t').from('1\n2\n3\n'))],
    ['copyTo()', 'H', ({ db }) => rowsOf(db.copyTo('select generate_series(1, 3)'))],
  ])('%s is a ProtocolError, its connection is closed, and the next statement has another', async (_, begins, copy) => {
    await using place = await site({ driver, pool: { max: 1 } })
    const [link] = place.proxy.links
    place.proxy.on({ to: 'client', type: begins, when: 'before' }, ({ toClient }) => {
      toClient.write(ended)
      toClient.swallows = true
    })

    expect(await caught(copy(place))).toMatchObject({
      name: ProtocolError.name,
      message: expect.stringContaining('CommandComplete'),
    })
    await until(() => !link!.held)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })
})
