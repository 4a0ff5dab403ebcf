/** The driver `mysql` asks its server to stop: a statement, and never the one behind it; and sessions that are lost. */

import type { Duplex } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { describeMysql, onMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'
import { type Client, connect } from './mysql-connection.ts'
import { closeAll, later } from './test-connection.ts'

afterEach(closeAll)

describeMysql('what the driver mysql stops', () => {
  test('cancelling stops a statement, and never the one behind it', async () => {
    const connection = await connect()
    for (let i = 0; i < 20; i++) {
      const op = connection.op(`select sleep(${i % 2 === 0 ? 60 : 0.001}) as slept_${i}`)
      connection.raw.submit(op)
      await new Promise((resolve) => setTimeout(resolve, i % 4))
      const cancelled = await connection.raw.cancel(op, later())
      expect(['cancelled', 'completed']).toContain(cancelled)
      expect((await connection.run('select 1')).end).toBe('SELECT 1')
    }
  })

  test('a request to cancel that overtakes its statement is sent again', async () => {
    const connection = await connect()
    const { stream } = connection.raw.native as { stream: Duplex }
    const kills = async (): Promise<number> =>
      Number((await onMysql("show global status like 'Com_kill'"))[0]?.['Value'])
    await connection.run('select sleep(?)', [0])
    const op = connection.op('select sleep(?)', [60])
    stream.cork()
    connection.raw.submit(op)
    const before = await kills()
    const cancelled = connection.raw.cancel(op, later())
    await until(async () => (await kills()) > before, { what: 'the first request has been served' })
    stream.uncork()

    expect(await cancelled).toBe('cancelled')
    expect((await connection.run('select 1')).end).toBe('SELECT 1')
  })

  test('a statement that is asked to stop while it is prepared does not run, and says so', async () => {
    const connection = await connect()
    await connection.run('create table stopped (id int)')
    const op = connection.op('insert into stopped values (?)', [1])
    connection.raw.submit(op)
    // Its preparation is under way: the answer is read when the server has been asked to stop.
    expect(await connection.raw.cancel(op, later())).toBe('cancelled')
    expect(op.failure).toMatchObject({ kind: 'aborted', outcome: 'not_started' })
    expect(await connection.value('select count(*) from stopped')).toBe(0)
  })

  test('a statement that waits for a query of the client is not sent when it is cancelled, and that query goes on', async () => {
    const [holder, connection] = [await connect(), await connect()]
    await holder.value("select get_lock('of the holder', 60)")
    const client = (await connection.raw.lend(60_000)) as Client
    const answered = new Promise<unknown>((resolve) =>
      client.query("select get_lock('of the holder', 60) as got", (error, rows) => resolve(error ?? rows)),
    )
    const op = connection.op('do 1')
    connection.raw.submit(op)

    expect(await connection.raw.cancel(op, later())).toBe('cancelled')
    expect(op.failure).toMatchObject({ kind: 'aborted', outcome: 'not_started' })
    await holder.value("select release_lock('of the holder')")
    expect(await answered).toEqual([{ got: 1 }])
    expect((await connection.run('select 1')).end).toBe('SELECT 1')
  })

  test('a killed session tells that it is lost, and what ran then is unknown', async () => {
    const connection = await connect()
    const op = connection.op('select sleep(60)')
    connection.raw.submit(op)
    await until(
      async () =>
        (
          await onMysql(
            `select 1 from information_schema.processlist where id = ${connection.raw.id} and command <> 'Sleep'`,
          )
        ).length > 0,
      { what: 'it runs' },
    )
    await onMysql(`kill ${connection.raw.id}`)
    await op.settled

    expect(op.failure).toMatchObject({ outcome: 'unknown' })
    await until(() => !connection.raw.alive, { what: 'it is lost' })
  })
})
