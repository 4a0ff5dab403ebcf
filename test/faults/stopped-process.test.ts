/** A process that stood still for seconds, as in a laptop that slept or a container that was frozen: all its timers are late at once. */

import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { runScript } from '../support/script.ts'

test('finds its connections alive, and what was answered meanwhile', async () => {
  await using database = await freshDatabase('create table t (n int)')
  const { code, stdout, stderr } = await runScript(
    `
    import { spawn } from 'node:child_process'
    import { channel } from 'node:diagnostics_channel'
    import { createDb } from 'genever'
    const lost = []
    channel('genever:connection').subscribe((event) => { if (event.event === 'lost') lost.push(event) })
    const db = await createDb(process.env.TARGET, { pool: { min: 3, max: 3, acquireTimeoutMs: 1500 } }).open()
    const { functions } = db.engineHere()
    functions.want()
    while (!functions.read || db.stats().idle < 3) await new Promise((resolve) => setTimeout(resolve, 5))
    const pids = async () => (await Promise.all([1, 2, 3].map(() => db.scalar('select pg_backend_pid() from pg_sleep(0.05)')))).sort()
    // It waits for the stop, however late that comes.
    const stopped = "grep -q '^State:.*T' /proc/$0/status || ps -o state= -p $0 | grep -q T"
    const wakes = 'while kill -0 $0 && ! { ' + stopped + '; }; do sleep 0.1; done; sleep 3; kill -CONT $0'
    const waker = spawn('/bin/sh', ['-c', wakes, String(process.pid)], { stdio: 'ignore' })
    await new Promise((resolve) => waker.once('spawn', resolve))
    // They have answered a moment ago: none is asked before it is used.
    const before = await pids()
    const running = Promise.allSettled([
      db.scalar('select 1 from pg_sleep(0.2)', [], { timeoutMs: 1500 }),
      db.status('insert into t select 1 from pg_sleep(0.2)', [], { timeoutMs: 1500 }),
      db.transaction(async (tx) => { await tx.status('insert into t values (2)'); return tx.scalar('select 3 from pg_sleep(0.2)') }),
      db.scalar('select 4'),
      db.acquire().then((connection) => connection.release()),
    ])
    await new Promise((resolve) => setImmediate(resolve))
    const start = Date.now()
    process.kill(process.pid, 'SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 1))
    const stood = Date.now() - start > 2000
    const ends = (await running).map(({ status, reason }) => reason?.name ?? status)
    const after = await pids()
    console.log(JSON.stringify({ stood, ends, same: after.every((pid) => before.includes(pid)), lost }))
    await db.close()
    waker.unref()
  `,
    { env: { TARGET: database.url }, timeoutMs: 50_000 },
  )

  expect(stderr).toBe('')
  const told = JSON.parse(stdout) as { stood: boolean; ends: string[]; same: boolean; lost: unknown[] }
  expect(told.stood).toBe(true)
  // What was on the wire was answered in time, and those who waited for it were served before their time was looked at.
  expect(told.ends).toEqual(Array.from({ length: 5 }, () => 'fulfilled'))
  expect(told).toMatchObject({ same: true, lost: [] })
  expect(code).toBe(0)
  expect(await database.query('select n from t order by n')).toEqual([{ n: 1 }, { n: 2 }])
})
