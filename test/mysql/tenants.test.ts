/** Many tenants on few connections of a real MySQL or MariaDB, and TLS. */

import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDb, GeneverError, QueryError } from 'genever'
import { createRegistry } from 'genever/registry'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { certificate, privateKey } from '../support/certificate.ts'
import { sample } from '../support/extent.ts'
import { startMariadb } from '../support/mariadb.ts'
import { describeMysql, freshMysql, mysqlUrl, onMysql } from '../support/mysql.ts'

describeMysql('tenants on MySQL', () => {
  test(
    'with the same texts on 4 connections no tenant sees or writes a row of another',
    { timeout: 120_000 },
    async () => {
      const tenants = Array.from({ length: sample({ once: 60, matrix: 300, soak: 300 }) }, (_, index) => `t${index}`)
      await using server = await freshMysql(
        'create table rows_of (tenant varchar(20), n int, index (tenant))',
        'create view mine as select * from rows_of',
      )
      // More texts than the statements that are kept.
      await using db = createDb(server.url, { pool: { max: 4 }, statementCacheSize: 8 })
      const seen = await Promise.all(
        tenants.map((tenant, index) =>
          db.scope(
            async () => {
              await db.status('insert into rows_of (tenant, n) values (@`app.tenant`, ?)', [index])
              await Promise.all([1, 2, 3].map((k) => db.scalar(`select ? + ${(index + k) % 20}`, [k])))
              return db.all('select tenant, n from rows_of where tenant = @`app.tenant`')
            },
            { settings: { 'app.tenant': tenant } },
          ),
        ),
      )

      expect(seen).toEqual(tenants.map((tenant, index) => [{ tenant, n: index }]))
      expect(await db.scalar('select count(*) from rows_of where tenant is null')).toBe(0)
    },
  )

  test('a database of each tenant by USE: the same texts read and write their own', { timeout: 120_000 }, async () => {
    const made = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        freshMysql('create table s (a int)', `insert into s values (${index * 100})`),
      ),
    )
    await using home = await freshMysql('create table s (a int)')
    await using db = createDb(home.url, { pool: { max: 2 } })
    await Promise.all(
      made.flatMap(({ name }, index) =>
        [1, 2, 3].map((k) =>
          db.scope(async () => {
            await db.status(`use \`${name}\``)
            expect(await db.scalar('select min(a) from s')).toBe(index * 100)
            await db.status('insert into s values (?)', [index * 100 + k])
          }),
        ),
      ),
    )

    for (const [index, each] of made.entries()) {
      const rows = await each.query('select a - ? as a from s order by a', [index * 100])
      expect(rows.map(({ a }) => Number(a))).toEqual([0, 1, 2, 3])
      await each[Symbol.asyncDispose]()
    }
    expect(await db.scalar('select database()')).toBe(home.name)
    expect(await db.scalar('select count(*) from s')).toBe(0)
  })

  test(
    'a database for each tenant on 4 connections: the same texts read and write their own, more of them than are kept',
    { timeout: 120_000 },
    async () => {
      const count = sample({ once: 12, matrix: 24, soak: 300 })
      await using home = await freshMysql('create table s (a int)')
      const names = Array.from({ length: count }, (_, index) => `${home.name}_${index}`)
      for (const [index, name] of names.entries()) {
        await onMysql(`create database \`${name}\``)
        await onMysql(`create table \`${name}\`.s (a int)`)
        await onMysql(`insert into \`${name}\`.s values (${index * 1000})`)
      }
      const db = createRegistry({
        main: { url: home.url, pool: { max: 4 }, statementCacheSize: 8 },
        tenancy: {
          settings: (tenant: number) => ({ database: names[tenant] as string, 'app.tenant': String(tenant) }),
        },
      })
      try {
        const all = names.flatMap((_, tenant) => [1, 2, 3].map((round) => ({ tenant, round })))
        const visit = async ({ tenant, round }: (typeof all)[number]): Promise<void> => {
          const base = tenant * 1000
          await db.withTenant(tenant, async () => {
            expect(await db.first('select min(a) as a, max(@`app.tenant`) as t from s')).toEqual({
              a: base,
              t: `${tenant}`,
            })
            await db.status('insert into s (a) values (?)', [base + round])
            await db.transaction(async (tx) => {
              await tx.status('insert into s (a) values (?)', [base + round + 10])
              expect(await tx.scalar('select count(*) from s where a div 1000 <> ?', [tenant])).toBe(0)
            })
          })
          expect(await db.scalar('select count(*) from s')).toBe(0)
        }
        await Promise.all(all.map(visit))

        for (const [tenant, name] of names.entries()) {
          const rows = await onMysql(`select a from \`${name}\`.s order by a`)
          expect(rows.map(({ a }) => Number(a) - tenant * 1000)).toEqual([0, 1, 2, 3, 11, 12, 13])
        }
        expect(await db.scalar('select database()')).toBe(home.name)
      } finally {
        await db.close({ force: true })
        for (const name of names) await onMysql(`drop database \`${name}\``)
      }
    },
  )

  test('a database that is not there, or cannot be one, is an error of the statement, and the next one has its own', async () => {
    await using home = await freshMysql('create table s (a int)')
    await using db = createDb(home.url, { pool: { max: 1 } })
    const within = (database: string): Promise<unknown> =>
      caught(db.scope(() => db.all('select a from s'), { settings: { database } }))

    for (const name of ['nobody_has_this', '', 'x'.repeat(65), 'a`; drop table s; -- '])
      expect(await within(name)).toBeInstanceOf(GeneverError)
    expect(await db.all('select a from s')).toEqual([])
    expect(await db.scope(() => db.scalar('select database()'), { settings: { database: 'mysql' } })).toBe('mysql')
    expect(await db.scalar('select database()')).toBe(home.name)
  })

  test('without a database of its own a connection goes back to none whose tables could be meant', async () => {
    await using home = await freshMysql('create table s (a int)')
    const source = new URL(home.url)
    source.pathname = ''
    await using db = createDb(source.href, { pool: { max: 1 } })

    expect(await db.scope(() => db.scalar('select count(*) from s'), { settings: { database: home.name } })).toBe(0)
    expect(await caught(db.scalar('select count(*) from s'))).toBeInstanceOf(QueryError)
  })

  test('what a stored function sets is gone for the next user of its connection', async () => {
    await using server = await freshMysql(
      "create function leaving() returns int deterministic begin set @left_behind = 'secret'; return 1; end",
    )
    await using db = createDb(server.url, { pool: { max: 1 } })

    expect(await db.scalar('select leaving()')).toBe(1)
    expect(await db.scalar('select @left_behind')).toBeNull()
  })

  test('TLS is checked: the certificate, its name, and that the server has one at all', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'genever-tls-'))
    await chmod(folder, 0o755)
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    await writeFile(cert, certificate)
    await writeFile(key, privateKey, { mode: 0o644 })
    const own = await startMariadb([`--ssl-cert=${cert}`, `--ssl-key=${key}`])
    const cipher = async (source: string, ssl?: object): Promise<unknown> => {
      await using db = createDb(source.replace('127.0.0.1', 'localhost'), ssl === undefined ? {} : { ssl })
      const row = await db.first<{ Value: string }>("show session status like 'Ssl_cipher'")
      return row?.Value
    }
    try {
      expect(await cipher(own.url, { ca: certificate })).toMatch(/^TLS|^ECDHE/)
      expect(await cipher(`${own.url}?ssl-mode=required`)).toMatch(/^TLS|^ECDHE/)
      expect(await cipher(own.url)).toBe('')
      for (const source of [`${own.url}?ssl-mode=verify_identity`, `${mysqlUrl()}?ssl-mode=required`]) {
        const error = await caught(cipher(source))
        expect(error).toMatchObject({ name: 'ConnectError', outcome: 'not_started', retryable: false })
        expect(error.message).toMatch(/Check who signed the certificate|connect without it/)
      }
    } finally {
      await own.stop()
      await rm(folder, { recursive: true })
    }
  })
})
