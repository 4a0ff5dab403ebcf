/** The error of a COPY says which of its lines the server has refused, and has the line of the caller. */

import { QueryError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver(
  (driver) => {
    test.each([
      ['a value that is no number', '1\ta\nsecret\tb\n', 'line 2 of the COPY, column "a"'],
      ['a missing column', '1\ta\n2\ta\n3\n', 'line 3 of the COPY'],
      ['a value that a constraint refuses', '1\ta\n\\N\tsecret\n', 'line 2 of the COPY'],
      ['a key that is there', '1\ta\n1\tsecret\n', 'line 2 of the COPY'],
    ])('%s', async (_, data, place) => {
      const [db, table] = [await driver.db(), await driver.table('a int primary key, b text')]
      const errors = [
        await caught(db.copyFrom(table).from(data)),
        await caught(db.scope(() => db.copyFrom(table).from(data.match(/./gsu) ?? []))),
        await caught(db.transaction(() => db.copyFrom(table).from(data))),
      ]

      for (const error of errors) {
        expect(error).toBeInstanceOf(QueryError)
        expect(error.message).toContain(place)
        expect(error.stack).toContain(place)
        expect(error.message).not.toContain('secret')
        expect(error.stack).toContain('copy-places.test.ts')
      }
    })
  },
  { connections: 2 },
)
