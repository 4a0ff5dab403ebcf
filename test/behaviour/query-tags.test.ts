/** Tags of statements: what the server shows behind their texts, and what they never change. */

import { type Executor, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  const text = driver.words.itself
  const seen = (executor: Executor): Promise<unknown> => executor.scalar(text)

  test('stand behind the text, in order of their names, written as sqlcommenter does', async () => {
    const db = await driver.db({ query: { tags: { route: '/users/:id', application: 'shop' } } })

    expect(await seen(db)).toBe(`${text} /*application='shop',route='%2Fusers%2F%3Aid'*/`)
  })

  test('of scopes, transactions and handles add to those around, win over equal names, and end with them', async () => {
    const db = await driver.db({ query: { tags: { application: 'shop' } } })
    const tagged = (tags: string): string => `${text} /*application='shop'${tags}*/`

    await db.scope(
      async (connection) => {
        expect(await seen(db)).toBe(tagged(",job='mail'"))
        expect(await seen(connection)).toBe(tagged(",job='mail'"))
        await db.transaction(
          async (tx) => {
            expect([await seen(db), await seen(tx)]).toEqual([
              tagged(",job='sms',step='1'"),
              tagged(",job='sms',step='1'"),
            ])
            await tx.transaction(async (inner) => expect(await seen(inner)).toBe(tagged(",job='sms',step='1'")))
          },
          { query: { tags: { job: 'sms', step: '1' } } },
        )
        await db.scope(async () => expect(await seen(db)).toBe(tagged(",job='mail',step='2'")), {
          query: { tags: { step: '2' } },
        })
        expect(await seen(db)).toBe(tagged(",job='mail'"))
        expect(await db.detached(() => seen(db))).toBe(tagged(''))
      },
      { query: { tags: { job: 'mail' } } },
    )

    expect(await seen(db)).toBe(tagged(''))
    const handle = await db.acquire({ query: { tags: { job: 'watch' } } })
    expect(await seen(handle)).toBe(tagged(",job='watch'"))
    await handle.release()
  })

  test('cannot end their comment, whatever they hold', async () => {
    const db = await driver.single()
    const values = [
      `*/ drop table t --`,
      `/* x`,
      `it's \\' "$x" :name ?`,
      'käse 🧀',
      '!50000 select 1',
      '%27',
      '\n\0',
      '',
    ]
    for (const value of values) {
      const shown = await db.scope(() => seen(db), { query: { tags: { value } } })
      const [, comment = ''] = /\/\*value='([\w%.~-]*)'\*\/$/.exec(String(shown)) ?? []
      expect(String(shown).indexOf(' /*')).toBe(text.length)
      expect(decodeURIComponent(comment)).toBe(value)
    }
  })

  test('of other names, of no text, or too long are refused before anything is sent', async () => {
    const db = await driver.single()
    const wrong: unknown[] = [
      { '': 'x' },
      { 'a b': 'x' },
      { "x'": 'x' },
      { '*/': 'x' },
      { '!50000': 'x' },
      { route: 7 },
      { route: null },
      { route: 'x'.repeat(201) },
      { route: '\ud800' },
      'route',
      ['route'],
    ]
    for (const tags of wrong) {
      const error = await caught(db.scope(() => 'ran', { query: { tags: tags as never } }))
      expect(error).toBeInstanceOf(UsageError)
      expect(String(error)).not.toContain('x'.repeat(20))
    }
  })

  test('are no part of the text in events', async () => {
    const db = await driver.single({ name: 'tagged', query: { tags: { job: 'mail' } } })
    using heard = hear('tagged')

    await seen(db)

    expect(heard.statements.map(({ sql }) => sql)).toEqual([text])
  })
})
