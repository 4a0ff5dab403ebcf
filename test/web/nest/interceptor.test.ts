/** `GeneverInterceptor`: a scope around handlers that no HTTP request of the application comes to. */

import type { CallHandler, ExecutionContext, Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { createDb, Db } from 'genever'
import { GeneverInterceptor, type GeneverInterceptorOptions, GeneverModule } from 'genever/nest'
import { createRegistry } from 'genever/registry'
import { concatMap, from, lastValueFrom, NEVER, type Observable, of, take, throwError, toArray } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { caught } from '../../support/caught.ts'
import { databaseUrl } from '../../support/database.ts'
import { hear } from '../../support/events.ts'
import { gate } from '../../support/gate.ts'
import { doing, forEachDriver, pid, quiet } from '../../support/matrix.ts'
import { moduleOf } from './app.ts'

class Orders {}
function onMessage(): void {}

/** The context of a message: what Nest gives an interceptor outside of HTTP. */
const context = {
  getType: () => 'rpc',
  getClass: () => Orders as Type,
  getHandler: () => onMessage,
} as unknown as ExecutionContext

async function handled(
  db: Db,
  handle: () => Observable<unknown>,
  options?: GeneverInterceptorOptions,
): Promise<Observable<unknown>> {
  const next: CallHandler = { handle }
  return new GeneverInterceptor(db, options).intercept(context, next)
}

forEachDriver((driver) => {
  let made = 0
  async function open(): Promise<{ db: Db; name: string }> {
    const name = `nest interceptor ${driver.name} ${process.pid} ${++made}`
    return { db: await driver.db({ name }), name }
  }

  describe('the handler of a message', () => {
    test('has one connection, from its first statement until its answer is complete', async () => {
      const { db, name } = await open()
      using heard = hear(name)
      const none = await lastValueFrom(await handled(db, () => of(db.current !== undefined)))
      const work = async () => [await pid(db), await db.transaction(() => pid(db)), doing(db).startsWith('1 lent')]
      const [one, two, held] = (await lastValueFrom(await handled(db, () => from(work())))) as unknown[]

      expect([none, one === two, held]).toEqual([true, true, true])
      await quiet(db)
      expect(heard.leases.map(({ event }) => event)).toEqual(['acquire', 'release'])
    })

    test('gives it back on an error, and when nobody listens any more', async () => {
      const { db } = await open()
      const boom = () => from(pid(db)).pipe(concatMap(() => throwError(() => new TypeError('boom'))))
      expect(await caught(lastValueFrom(await handled(db, boom)))).toBeInstanceOf(TypeError)
      await quiet(db)

      const begun = gate()
      const hang = () => from(pid(db).then(() => begun.open())).pipe(concatMap(() => NEVER))
      const subscription = (await handled(db, hang)).subscribe()
      await begun.promise
      expect(db.stats().reserved).toBe(1)
      subscription.unsubscribe()
      await quiet(db)
    })

    test('that goes on answering keeps no connection between its values', async () => {
      const { db } = await open()
      const seen: boolean[] = []
      const values = () =>
        from([1, 2, 3]).pipe(
          concatMap(async (n) => {
            await pid(db)
            return n
          }),
        )
      const answers = (await handled(db, values)).pipe(
        concatMap(async (n) => {
          await quiet(db)
          seen.push(true)
          return n
        }),
        take(3),
        toArray(),
      )

      expect(await lastValueFrom(answers)).toEqual([1, 2, 3])
      expect(seen).toHaveLength(3)
    })

    test('is at the tenant of its context, and nowhere else', async () => {
      await using db = createRegistry({
        main: { url: await driver.url(), pool: { max: 1 } },
        tenancy: { settings: (id) => ({ 'app.tenant': id }), optional: true },
      })
      await db.open()
      const tenant = () => from(db.scalar("select current_setting('app.tenant', true)"))
      const of7 = { tenant: () => 7 }

      expect(await lastValueFrom(await handled(db, tenant, of7))).toBe('7')
      expect(await lastValueFrom(await handled(db, tenant, { tenant: async () => 'eight' }))).toBe('eight')
      expect(await lastValueFrom(await handled(db, tenant, { tenant: () => null }))).not.toBe('eight')
      expect(await caught(handled(db, tenant, { tenant: () => undefined }))).toMatchObject({ status: 400 })
      await quiet(db)
    })

    test('has the names of its handler behind its statements, if the option says so', async () => {
      const { db } = await open()
      const seen = 'select current_query()'
      const asked = () => from(db.scalar(seen))

      expect(await lastValueFrom(await handled(db, asked, { tagHandlers: true }))).toBe(
        `${seen} /*action='onMessage',controller='Orders'*/`,
      )
      expect(await lastValueFrom(await handled(db, asked))).toBe(seen)
    })

    test('has the settings of its context, and shares a connection that is ambient', async () => {
      const { db } = await open()
      const tenant = () => from(db.scalar("select current_setting('app.tenant', true)"))
      const settings = (given: ExecutionContext) => ({ 'app.tenant': given.getClass().name })
      expect(await lastValueFrom(await handled(db, tenant, { settings }))).toBe('Orders')

      const shared = await db.scope(async (connection) => {
        const current = () => of(db.current)
        return (await lastValueFrom(await handled(db, current))) === db.current && connection.owner
      })
      expect(shared).toBe(true)
    })
  })
})

test('Nest makes it with the database of the module', async () => {
  const db = createDb(await databaseUrl())
  const app = await NestFactory.createApplicationContext(
    moduleOf({ imports: [GeneverModule.forRoot({ db, log: false })], providers: [GeneverInterceptor] }),
    { logger: false, abortOnError: false },
  )
  const answer = await app.get(GeneverInterceptor).intercept(context, { handle: () => from(db.scalar('select 1')) })

  expect(await lastValueFrom(answer)).toBe(1)
  expect(app.get(Db)).toBe(db)
  await app.close()
})
