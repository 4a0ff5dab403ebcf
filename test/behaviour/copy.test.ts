/** Rows in bulk: into a table and out of it, as loops and as streams of Node and of the web, in and outside of transactions. */

import { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { AbortedError, type Db, QueryTimeoutError, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all).toString()
}

const rows = (db: Db, table: string): Promise<unknown[]> =>
  db.all(`select a, b from ${table} order by a`).then((found) => found.map((row) => Object.values(row)))

async function* endless(pieces = Infinity): AsyncGenerator<string> {
  for (let a = 0; a < pieces; a++) {
    if (a % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    yield `${a}\tx\n`
  }
}

/** A database with an empty table, and that nothing is left in it or open on it. */
async function withTable(driver: TestedDriver): Promise<{ db: Db; table: string }> {
  return { db: await driver.db(), table: await driver.table('a int primary key, b text') }
}

forEachDriver((driver) => {
  if (driver.name === 'pglite') {
    test('where a driver carries no data, that is refused by name, and nothing is sent', async () => {
      const { db, table } = await withTable(driver)
      expect((await caught(db.copyFrom(table).from('1\tx\n'))).message).toMatch(
        /carries no data of a COPY.*The drivers pg and socket do/,
      )
      expect((await caught(textOf(db.copyTo(table)))).message).toContain('carries no data of a COPY')
      expect((await caught(db.all(`copy ${table} from stdin`))).message).toContain('carries no data of a COPY')
      expect((await caught(db.all(`copy ${table} to stdout`))).message).toContain('carries no data of a COPY')
      expect(await rows(db, table)).toEqual([])
    })
    return
  }

  describe('into a table', () => {
    test('go texts, bytes, lists, generators and streams, however they are cut', async () => {
      const { db, table } = await withTable(driver)
      expect(await db.copyFrom(table).from('1\tone\n2\t\\N\n')).toBe(2)
      expect(await db.copyFrom(`${table} (b, a)`, { format: 'csv' }).from(Buffer.from('"th""ree, ✓",3\n,4\n'))).toBe(2)
      expect(await db.copyFrom(table).from(['5\t', 'fi', 've\n6', '\tsix\n'])).toBe(2)
      expect(await db.copyFrom(table).from(Readable.from([Buffer.from('7\tseven\n')]))).toBe(1)
      expect(await db.copyFrom(table).from(new Blob(['8\teight\n']).stream())).toBe(1)
      expect(await db.copyFrom(table).from([])).toBe(0)
      const options = {
        format: 'csv',
        header: true,
        delimiter: ';',
        nullText: 'NIL',
        quote: "'",
        escape: '\\',
      } as const
      expect(await db.copyFrom(table, options).from("a;b\n9;'it\\'s'\n10;NIL\n")).toBe(2)

      expect(await rows(db, table)).toEqual([
        [1, 'one'],
        [2, null],
        [3, 'th"ree, ✓'],
        [4, null],
        [5, 'five'],
        [6, 'six'],
        [7, 'seven'],
        [8, 'eight'],
        [9, "it's"],
        [10, null],
      ])
    })

    test('go the pieces of a pipeline, which ends when the server has all', async () => {
      const { db, table } = await withTable(driver)
      await pipeline(Readable.from(endless(5_000)), db.copyFrom(table).writable())
      expect(await db.scalar(`select count(*) from ${table}`)).toBe(5_000)
      await db.status(`truncate ${table}`)
      await new Blob(['1\tone\n', '2\ttwo\n']).stream().pipeTo(db.copyFrom(table).stream())
      expect(await rows(db, table)).toEqual([
        [1, 'one'],
        [2, 'two'],
      ])
    })

    test('goes nothing when the source fails, whose error goes to the caller', async () => {
      const { db, table } = await withTable(driver)
      async function* failing(): AsyncGenerator<string> {
        yield '1\tone\n'
        await Promise.resolve()
        throw new Error('no more')
      }
      expect(await caught(db.copyFrom(table).from(failing()))).toMatchObject({ message: 'no more' })
      expect(await caught(pipeline(Readable.from(failing()), db.copyFrom(table).writable()))).toMatchObject({
        message: 'no more',
      })
      const web = ReadableStream.from(failing())
      expect(await caught(web.pipeTo(db.copyFrom(table).stream()))).toMatchObject({ message: 'no more' })
      expect(await caught(db.copyFrom(table).from([7] as unknown as string[]))).toBeInstanceOf(UsageError)
      expect(await caught(db.copyFrom(table).from(7 as unknown as string))).toBeInstanceOf(UsageError)
      expect(await rows(db, table)).toEqual([])
    })

    test('goes nothing when the server refuses a row, and the source is read no further', async () => {
      const { db, table } = await withTable(driver)
      let ended = false
      async function* source(): AsyncGenerator<string> {
        try {
          yield '1\tone\nx\ttwo\n'
          yield* endless()
        } finally {
          ended = true
        }
      }
      expect(await caught(db.copyFrom(table).from(source()))).toMatchObject({ sqlState: '22P02' })
      await until(() => ended)
      expect(await caught(pipeline(Readable.from(source()), db.copyFrom(table).writable()))).toMatchObject({
        sqlState: '22P02',
      })
      expect(await caught(ReadableStream.from(source()).pipeTo(db.copyFrom(table).stream()))).toMatchObject({
        sqlState: '22P02',
      })
      expect(await caught(db.copyFrom('nowhere').from('1\n'))).toMatchObject({ sqlState: '42P01' })
      expect(await rows(db, table)).toEqual([])
    })

    test('goes what the transaction keeps', async () => {
      const { db, table } = await withTable(driver)
      await caught(
        db.transaction(async () => {
          expect(await db.copyFrom(table).from('1\tone\n')).toBe(1)
          expect(await rows(db, table)).toHaveLength(1)
          throw new Error('back')
        }),
      )
      await db.transaction(async (tx) => {
        await caught(tx.transaction(() => db.copyFrom(table).from('bad\n')))
        expect(await db.copyFrom(table, { on: tx }).from('2\ttwo\n')).toBe(1)
      })
      expect(await rows(db, table)).toEqual([[2, 'two']])
    })

    test('goes nothing when it takes too long or is aborted, although the source gives nothing', async () => {
      const { db, table } = await withTable(driver)
      const never = gate()
      async function* slow(): AsyncGenerator<string> {
        yield '1\tone\n'
        await never.promise
      }
      expect(await caught(db.copyFrom(table, { timeoutMs: 300 }).from(slow()))).toBeInstanceOf(QueryTimeoutError)
      const stop = new AbortController()
      const aborted = caught(db.copyFrom(table, { signal: stop.signal }).from(slow()))
      setTimeout(() => stop.abort(), 30)
      expect(await aborted).toBeInstanceOf(AbortedError)
      never.open()
      expect(await rows(db, table)).toEqual([])
    })

    test('go texts that are cut between the halves of a character, and no half alone', async () => {
      const { db, table } = await withTable(driver)
      const [first, second] = ['\ud83d', '\ude00']
      expect(await db.copyFrom(table).from([`1\t${first}`, '', `${second}\n2\t`, first, `${second}\n`])).toBe(2)
      await pipeline([`3\t${first}`, `${second}\n`], db.copyFrom(table).writable())
      await ReadableStream.from([`4\t${first}`, `${second}\n`]).pipeTo(db.copyFrom(table).stream())
      const kept = [1, 2, 3, 4].map((a) => [a, '😀'])
      expect(await rows(db, table)).toEqual(kept)

      for (const pieces of [
        [`5\t${first}\n`],
        [`5\t${second}\n`],
        [`5\t${first}`],
        [`5\t${first}`, Buffer.from('\n')],
        ['5\tx\n', `6\t${second}`],
      ]) {
        const half = { message: expect.stringContaining('half of a surrogate pair') as string }
        expect(await caught(db.copyFrom(table).from(pieces))).toMatchObject(half)
        expect(await caught(pipeline(pieces, db.copyFrom(table).writable()))).toMatchObject(half)
        expect(await caught(ReadableStream.from(pieces).pipeTo(db.copyFrom(table).stream()))).toMatchObject(half)
      }
      expect(await rows(db, table)).toEqual(kept)
    })

    test('go texts in the encoding that is given to the stream of Node', async () => {
      const { db, table } = await withTable(driver)
      const stream = db.copyFrom(table).writable()
      stream.write('310968', 'hex')
      stream.write('ascii', 'latin1')
      stream.end('Cg==', 'base64')
      await finished(stream)
      expect(await rows(db, table)).toEqual([[1, 'hascii']])
    })

    test('goes nothing of a stream that was given something else, and its connection serves others', async () => {
      const db = await driver.db({ pool: { max: 1 } })
      const table = await driver.table('a int primary key, b text')
      const writer = db.copyFrom(table).stream().getWriter()
      await writer.write('1\tone\n')
      expect(await caught(writer.write(7 as unknown as string))).toBeInstanceOf(UsageError)
      expect(await caught(writer.closed)).toBeInstanceOf(UsageError)
      const half = db.copyFrom(table).stream().getWriter()
      await half.write('1\t\ud83d')
      expect(await caught(half.close())).toBeInstanceOf(UsageError)
      expect(await rows(db, table)).toEqual([])
    })

    test('goes a file of any length in the memory of a few pieces', async () => {
      const { db, table } = await withTable(driver)
      const given: WeakRef<Uint8Array>[] = []
      const alive: number[] = []
      async function* source(): AsyncGenerator<Uint8Array> {
        for (let a = 0; a < 500; a++) {
          const piece = Buffer.from(`${a}\t${'x'.repeat(10_000)}\n`)
          given.push(new WeakRef(piece))
          yield piece
          if (a % 100 !== 99) continue
          await new Promise((resolve) => setImmediate(resolve))
          global.gc?.()
          alive.push(given.filter((each) => each.deref() !== undefined).length)
        }
      }
      expect(await db.copyFrom(table).from(source())).toBe(500)
      expect(Math.max(...alive)).toBeLessThan(250)
    })

    test('go the rows of a source that waits for nothing, and other code runs meanwhile', async () => {
      const { db, table } = await withTable(driver)
      let turns = 0
      let over = false
      const turn = (): void => {
        turns++
        if (!over) setImmediate(turn)
      }
      setImmediate(turn)
      const source = Array.from({ length: 20_000 }, (_, a) => `${a}\tx\n`)
      expect(await db.copyFrom(table).from(source)).toBe(20_000)
      over = true
      expect(turns).toBeGreaterThan(50)
    })

    test('go more bytes than a socket takes at once', async () => {
      const { db, table } = await withTable(driver)
      const wide = 'y'.repeat(3_000_000)
      expect(await db.copyFrom(table).from([`1\t${wide}\n`, `2\t${wide}\n`])).toBe(2)
      expect(await db.scalar(`select sum(length(b)) from ${table}`)).toBe(6_000_000)
    })
  })

  describe('out of a table', () => {
    test('come text, csv and binary, of tables and queries', async () => {
      const { db, table } = await withTable(driver)
      await db.status(`insert into ${table} values (1, 'one'), (2, null)`)
      const out = db.copyTo(table)
      expect(await textOf(out)).toBe('1\tone\n2\t\\N\n')
      expect(out.rowCount).toBe(2)
      const csv = { format: 'csv', header: true } as const
      expect(await textOf(db.copyTo(`select b, a from ${table} order by a`, csv))).toBe('b,a\none,1\n,2\n')
      expect(await textOf(db.copyTo(`${table} (b)`, { nullText: '-' }))).toBe('one\n-\n')
      const other = await driver.table('a int primary key, b text')
      expect(await db.copyFrom(other, { format: 'binary' }).from(db.copyTo(table, { format: 'binary' }))).toBe(2)
      expect(await rows(db, other)).toEqual([
        [1, 'one'],
        [2, null],
      ])
    })

    test('come rows of a query with comments around it', async () => {
      const { db, table } = await withTable(driver)
      expect(await textOf(db.copyTo('-- all\n/* of it */ select 1 -- and no more'))).toBe('1\n')
      expect(await db.copyFrom(`${table} -- here`).from('1\tone\n')).toBe(1)
      expect(await textOf(db.copyTo(`${table} -- here`))).toBe('1\tone\n')
    })

    test('come streams of Node and of the web', async () => {
      const { db } = await withTable(driver)
      const numbers = 'select i from generate_series(1, 20000) i'
      let size = 0
      const sink = new Writable({
        write(chunk: Buffer, _, done) {
          size += chunk.length
          setImmediate(done)
        },
      })
      await pipeline(db.copyTo(numbers).readable(), sink)
      expect(size).toBe(108_894)
      expect(await new Response(db.copyTo(numbers).stream()).text()).toHaveLength(108_894)
    })

    test('comes no more than is taken, and leaving the loop stops the server', async () => {
      const { db } = await withTable(driver)
      const wide = "select repeat('z', 1000) from generate_series(1, 1000000)"
      let seen = 0
      for await (const piece of db.copyTo(wide)) {
        seen += piece.length
        await new Promise((resolve) => setTimeout(resolve, 5))
        if (seen > 100_000) break
      }
      expect(seen).toBeLessThan(20_000_000)
      expect(await db.scalar('select 1')).toBe(1)
      await db.transaction(async () => {
        for await (const _ of db.copyTo('select i from generate_series(1, 100000) i')) break
        expect(await db.scalar('select 1')).toBe(1)
      })
    })

    test('is refused what the loop asks of the same connection, at once and by name, however few rows there are', async () => {
      const { db } = await withTable(driver)
      const rows = 'select i from generate_series(1, 3) i'
      const asked = async (ask: () => Promise<unknown>): Promise<unknown> => {
        for await (const _ of db.copyTo(rows)) return caught(ask())
        return null
      }
      const refused = {
        name: 'TransactionStateError',
        message: expect.stringMatching(/^copyTo\(\) at test\/behaviour\/copy\.test\.ts:\d+:\d+.* uses this connection/),
      }
      await db.scope(async (connection) => {
        expect(await asked(() => db.scalar('select 1'))).toMatchObject(refused)
        expect(await asked(() => connection.transaction(() => db.scalar('select 1')))).toMatchObject(refused)
        expect(await asked(() => textOf(db.copyTo(rows)))).toMatchObject(refused)
        expect(await db.scalar('select 1')).toBe(1)
      })
      await db.transaction(async () => {
        expect(await asked(() => db.scalar('select 1'))).toMatchObject(refused)
        expect(await db.scalar('select 1')).toBe(1)
      })
    })

    test('is refused what its source asks of the same connection; what stands beside it waits', async () => {
      const { db, table } = await withTable(driver)
      await db.scope(async () => {
        const asking = async function* (): AsyncGenerator<string> {
          yield '1\ta\n'
          yield `${await db.scalar<number>('select 2')}\tb\n`
        }
        const [failed, beside] = await Promise.all([caught(db.copyFrom(table).from(asking())), db.scalar('select 3')])
        expect(failed).toMatchObject({
          name: 'TransactionStateError',
          message: expect.stringContaining('copyFrom() at'),
        })
        expect(beside).toBe(3)
        expect(await caught(db.copyFrom(table).from(db.copyTo(table)))).toMatchObject({ name: 'TransactionStateError' })
        expect(await db.scalar(`select count(*)::int from ${table}`)).toBe(0)
      })
    })

    test('come the errors of the server, at the start and in the middle', async () => {
      const { db } = await withTable(driver)
      expect(await caught(textOf(db.copyTo('nowhere')))).toMatchObject({ sqlState: '42P01' })
      expect(
        await caught(textOf(db.copyTo('select 1 / (100000 - i) from generate_series(1, 100000) i'))),
      ).toMatchObject({
        sqlState: '22012',
      })
      expect(await caught(textOf(db.copyTo('select pg_sleep(60)', { timeoutMs: 500 })))).toBeInstanceOf(
        QueryTimeoutError,
      )
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  test('sent as a statement is refused with the call that carries its data, and its connection serves others', async () => {
    const { db, table } = await withTable(driver)
    for (const [sql, call] of [
      [`copy ${table} from stdin`, 'copyFrom(table).from(data)'],
      [`copy ${table} to stdout`, 'copyTo(table or query)'],
      ['copy (select 1) to stdout', 'copyTo(table or query)'],
    ] as const)
      for (const run of [() => db.all(sql), () => db.status(sql), () => db.status(`select 1; ${sql}`)]) {
        const error = await caught(run())
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toContain(call)
      }
    expect(await db.scalar('select 1')).toBe(1)
  })

  test('is refused for what does not fit, and of use once', async () => {
    const { db, table } = await withTable(driver)
    for (const options of [
      { format: 'xml' },
      { delimiter: '::' },
      { quote: '\n' },
      { nullText: 'a\nb' },
      { header: 1 },
      { nonsense: 1 },
    ])
      expect(() => db.copyTo(table, options as object)).toThrow(UsageError)
    expect(() => db.copyTo(7 as unknown as string)).toThrow(UsageError)
    expect(() => db.copyFrom('')).toThrow(UsageError)
    expect(await caught(textOf(db.copyTo(table, { format: 'binary', header: true })))).toBeInstanceOf(UsageError)
    expect(await caught(textOf(db.copyTo(table, { quote: "'" })))).toBeInstanceOf(UsageError)
    expect(await caught(textOf(db.copyTo(`${table}; drop table ${table}`)))).toBeInstanceOf(UsageError)
    const used = db.copyFrom(table)
    await used.from('1\tone\n')
    expect(await caught(used.from('2\ttwo\n'))).toBeInstanceOf(UsageError)
    expect(await rows(db, table)).toEqual([[1, 'one']])
  })
})
