/** Reads of a cursor over objects whose parts are loaded by further statements, issued together with other calls. */

import { many } from 'genever/models'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'
import { blog } from './support/blog.ts'

forEachDriver((driver) => {
  for (const place of ['a transaction', 'a scope'] as const)
    test(`the first read in ${place} sees what was issued before it, and not what comes behind`, async () => {
      const { db, Author, Post } = await blog(driver, {})
      const query = Author.query().load(Author.load({ posts: many(Post) }), { strategy: 'select-in' })
      const known = (await query).length
      const insert = (name: string): Promise<unknown> => Author.create({ name })
      let read = -1

      const work = async (): Promise<void> => {
        const before = insert('before')
        const reading = query.iterate({ batchSize: 100 }).read(1_000)
        const behind = insert('behind')
        await Promise.all([before, behind])
        read = (await reading).length
      }
      await (place === 'a scope' ? db.scope(work) : db.transaction(work))

      expect(read).toBe(known + 1)
      expect((await query).length).toBe(known + 2)
    })
})
