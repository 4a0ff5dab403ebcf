/** The service of `examples/mariadb`. */

import { expect, test } from 'vitest'
import { serve } from '../../examples/mariadb/server.ts'
import { describeMysql, freshMysql, onMysql } from '../support/mysql.ts'
import { visitShop } from '../support/shop.ts'
import { until } from '../support/until.ts'

describeMysql('the example of MariaDB', () => {
  test('answers, refuses, rolls back, closes, and starts again with its tables', async () => {
    await using server = await freshMysql()
    await visitShop(await serve(server.url, 0))

    expect(await server.query('select bottle, count from orders')).toEqual([{ bottle: 1, count: 2 }])
    expect(await server.query('select stock from bottles order by id')).toEqual([{ stock: 8 }, { stock: 0 }])
    const sessions = (): Promise<Record<string, unknown>[]> =>
      onMysql('select id from information_schema.processlist where db = ?', [server.name])
    await until(async () => (await sessions()).length === 0, { what: 'no session is left' })
    const again = await serve(server.url, 0)
    expect(await (await fetch(`${again.url}/bottles/1`)).json()).toMatchObject({ left: 8 })
    await again.close()
  })
})
