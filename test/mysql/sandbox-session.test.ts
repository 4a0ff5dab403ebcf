/** What each connection of a sandbox on MySQL has for itself: variables, settings, the last number. */

import { type Db, TransactionStateError } from 'genever'
import { sandboxed } from 'genever/testing'
import { expect, test, vi } from 'vitest'
import { MysqlWords } from '../../src/testing/sandbox/mysql/words.ts'
import { caught } from '../support/caught.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

describeMysql('the session of a sandbox on MySQL', () => {
  let server: FreshMysql
  let db: Db

  onFreshMysql(
    [
      'create table numbered (id int auto_increment primary key, v int) engine = innodb',
      'create table counters (n int primary key) engine = innodb',
      'insert into counters values (7)',
      'create function plus_one(n int) returns int deterministic return n + 1',
    ],
    (made) => void ({ server, db } = made),
    { pool: { max: 4 } },
  )

  test.each([
    ['select n, 5 into @n, @v from counters', 'select @v', 5],
    ['select @v := 5, n from counters', 'select @v', 5],
    ['select @v := 5 as a, n as sort_buffer_size from counters', 'select @v', 5],
    ["set @`a``b` = 1, @'a`b' = 2", 'select @`a``b`', 2],
    ['set @"it\'s" = 6', "select @'it''s'", 6],
  ])('a variable is there behind others of another connection: %s', async (text, read, expected) => {
    await sandboxed(db, async () => {
      await db.scope(async (connection) => {
        await connection.all(text)
        await db.scope((other) => other.status('set @v = 1, @n = 2, @`a``b` = 3'), { reuse: false })

        expect(Number(await connection.scalar(read))).toBe(expected)
      })
    })
  })

  test.each(['set @ = 1', 'set @`` = 1', `set @${'x'.repeat(65)} = 1`, 'set @`ends ` = 1', 'set @`\u{1F600}` = 1'])(
    'a name that the server may not know ends nothing but its statement: %s',
    async (text) => {
      await sandboxed(db, async () => {
        await db.scope(async (connection) => {
          await connection.status(text).catch(() => {})
          await db.scope((other) => other.all('select 1'), { reuse: false })

          expect(await connection.scalar('select 1 + 1')).toBe(2)
        })
      })
    },
  )

  test('variables whose names differ by a sign, or are long, do not mix', async () => {
    const names = ['@`a b`', '@a_b', '@`a@b`', '@ab', `@${'x'.repeat(63)}1`, `@${'x'.repeat(63)}2`]
    await sandboxed(db, async () => {
      await db.scope(async (connection) => {
        await connection.status(`set ${names.map((name, at) => `${name} = ${at}`).join(', ')}`)
        await db.scope((other) => other.status('set @other = 1'), { reuse: false })

        expect(Object.values(await connection.one(`select ${names.join(', ')}`)).map(Number)).toEqual([
          0, 1, 2, 3, 4, 5,
        ])
      })
    })
  })

  test('the collation of SET NAMES is that of its connection alone', async () => {
    await sandboxed(db, async () => {
      const usual = await db.scalar('select @@collation_connection')
      await db.scope(async (connection) => {
        await connection.status('set names utf8mb4 collate utf8mb4_bin')
        const of = 'select @@collation_connection'

        expect(await db.scope((other) => other.scalar(of), { reuse: false })).toBe(usual)
        expect(await connection.scalar(of)).toBe('utf8mb4_bin')
      })
      expect(await db.scalar('select @@collation_connection')).toBe(usual)
    })
  })

  test('last_insert_id() of a number sets it, and is no question', async () => {
    await sandboxed(db, async () => {
      await db.transaction(async (tx) => {
        await tx.status('update counters set n = last_insert_id(n + 1)')
        expect(Number(await tx.scalar('select last_insert_id()'))).toBe(8)
        await db.transaction((other) => other.status('insert into numbered (v) values (1)'), { reuse: false })
        expect(Number(await tx.scalar('select last_insert_id()'))).toBe(8)
      })
      await db.transaction(async (tx) => {
        await tx.status('insert into numbered (v) values (1)')
        await tx.all('select last_insert_id(3)')
        expect(Number(await tx.scalar('select @@last_insert_id'))).toBe(3)
      })
    })
  })

  test('a connection whose database is gone leaves variables and numbers of the others as they were', async () => {
    const { name } = server
    await server.query(`create database \`${name}_gone\``)
    await sandboxed(db, async () => {
      const [one, two] = [await db.acquire(), await db.acquire()]
      await two.status(`use \`${name}_gone\``)
      const insert = `insert into \`${name}\`.numbered (v) values (1)`
      await two.status(insert)
      await two.status('set @v = 2')
      const { insertId } = await one.status(insert)
      await one.status('set @v = 1')
      await server.query(`drop database \`${name}_gone\``)
      for (const text of [insert, 'set @v = 3']) expect(await caught(two.status(text))).toMatchObject({ errno: 1049 })

      expect(Number(await one.scalar('select last_insert_id()'))).toBe(Number(insertId))
      expect(Number(await one.scalar('select @v'))).toBe(1)
      expect(await one.scalar('select database()')).toBe(name)
      await one.release()
      await two.release()
    })
  })

  test('an INSERT that calls a function of the user is a write too', async () => {
    await sandboxed(db, async () => {
      await db.transaction(async (tx) => {
        const { insertId: first } = await tx.status('insert into numbered (v) values (1)')
        const calling = async (other: typeof tx): Promise<void> => {
          const { insertId } = await other.status('insert into numbered (v) values (plus_one(1))')
          expect(Number(await other.scalar('select last_insert_id()'))).toBe(Number(insertId))
        }
        await db.transaction(calling, { reuse: false })
        expect(Number(await tx.scalar('select last_insert_id()'))).toBe(Number(first))
      })
    })
  })

  test('a fault inside of the sandbox fails its statement, and those behind it run', async () => {
    await sandboxed(db, async () => {
      const refusal = vi.spyOn(MysqlWords.prototype, 'refusal').mockImplementationOnce(() => {
        throw new RangeError('out of words')
      })
      const error = await caught(db.all('select 1'))
      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain('out of words')
      expect(error).toMatchObject({ outcome: 'not_started' })
      // It is thrown before BEGIN is sent.
      refusal.mockImplementationOnce(() => {
        throw new RangeError('out of words again')
      })
      expect((await caught(db.transaction(() => db.all('select 1')))).message).toContain('out of words again')
      refusal.mockRestore()
      expect(await db.transaction(() => db.scalar('select 1 + 1'))).toBe(2)
    })
  })
})
