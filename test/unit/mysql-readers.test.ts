/** How values of MySQL are read that no server of these tests sends. */

import { expect, test } from 'vitest'
import { Cursor } from '../../src/driver/mysql/packets.ts'
import { readerOf, Type } from '../../src/driver/mysql/types.ts'

const bytesCharset = 63

test.each(['as text', 'prepared'])('a vector of MySQL 9 is bytes, %s', (how) => {
  const column = { name: 'v', type: Type.vector, flags: 0, length: 8, charset: bytesCharset, decimals: 0, json: false }
  const read = readerOf(column, undefined, { int8: 'number', tinyint1: 'number' }, how === 'prepared')
  const vector = Buffer.from([0, 0, 128, 63, 0, 0, 0, 192])
  const packet = Buffer.concat([Buffer.from([vector.length]), vector])
  expect(read(new Cursor().load(packet, 0, packet.length))).toEqual(vector)
})
