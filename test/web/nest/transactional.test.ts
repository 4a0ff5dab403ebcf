/** `Transactional()`: the modes of propagation on real servers, options, classes, and where the database comes from. */

import 'reflect-metadata'
import { Get, Injectable } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  createDb,
  type Db,
  SelfDeadlockError,
  TransactionEndedError,
  TransactionStateError,
  TransactionTimeoutError,
  UsageError,
} from 'genever'
import { GeneverModule, type Propagation, Transactional } from 'genever/nest'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../../support/caught.ts'
import { databaseUrl } from '../../support/database.ts'
import { hear } from '../../support/events.ts'
import { forEachDriver, pid } from '../../support/matrix.ts'
import { moduleOf } from './app.ts'

const modes: readonly Propagation[] = [
  'REQUIRED',
  'REQUIRES_NEW',
  'NESTED',
  'SUPPORTS',
  'NOT_SUPPORTED',
  'MANDATORY',
  'NEVER',
]

/** A method with this mode, as a class would have it. */
function method(db: Db, propagation: Propagation | undefined, work: () => Promise<unknown>, more: object = {}) {
  class Service {
    @Transactional({ db, propagation, ...more })
    async run(): Promise<unknown> {
      return work()
    }
  }
  const service = new Service()
  return () => service.run()
}

forEachDriver((driver) => {
  /** What `work` saw, and the rows that are left when it, or what is around it, failed. */
  async function setUp() {
    const name = `nest ${driver.name} ${Math.random()}`
    const db = await driver.db({ name })
    const table = await driver.table('text text')
    return {
      db,
      name,
      insert: (text: string) => db.status(`insert into ${table} values ($1)`, [text]),
      rows: async () =>
        (await db.all<{ text: string }>(`select text from ${table} order by 1`)).map(({ text }) => text),
    }
  }
  const fail = async (work: () => Promise<unknown>): Promise<never> => {
    await work()
    throw new TypeError('boom')
  }
  const several = driver.most > 1

  describe('without a transaction around it', () => {
    test.each(['REQUIRED', 'REQUIRES_NEW', 'NESTED'] as const)(
      '%s begins one, kept or undone as a whole',
      async (mode) => {
        const { db, insert, rows } = await setUp()
        const works = method(db, mode, () => insert('kept'))
        const fails = method(db, mode, () => fail(() => insert('undone')))
        await works()

        expect(await caught(fails())).toBeInstanceOf(TypeError)
        expect(await rows()).toEqual(['kept'])
      },
    )

    test.each(['SUPPORTS', 'NOT_SUPPORTED', 'NEVER'] as const)('%s runs without one', async (mode) => {
      const { db, name, insert, rows } = await setUp()
      using heard = hear(name)
      await caught(method(db, mode, () => fail(() => insert('kept')))())

      expect([await rows(), heard.transactions]).toEqual([['kept'], []])
    })

    test('MANDATORY refuses, and nothing ran', async () => {
      const { db, insert, rows } = await setUp()
      const error = await caught(method(db, 'MANDATORY', () => insert('lost'))())

      expect([error instanceof TransactionStateError, error.message]).toEqual([
        true,
        expect.stringContaining('Service.run must be called in a transaction (propagation MANDATORY)'),
      ])
      expect(await rows()).toEqual([])
    })
  })

  describe('inside of a transaction', () => {
    test.each(['REQUIRED', 'SUPPORTS', 'MANDATORY'] as const)('%s joins it: one BEGIN, one fate', async (mode) => {
      const { db, name, insert, rows } = await setUp()
      using heard = hear(name)
      const inner = method(db, mode, () => insert('inner'))
      const outer = (end: () => void) => method(db, 'REQUIRED', () => insert('outer').then(inner).then(end))
      await outer(() => {})()
      await caught(
        outer(() => {
          throw new TypeError('boom')
        })(),
      )

      expect(await rows()).toEqual(['inner', 'outer'])
      expect(heard.transactions.map(({ event }) => event)).toEqual(['begin', 'commit', 'begin', 'rollback'])
    })

    test('NESTED is a savepoint: undone alone when its error is caught, and with the transaction around it', async () => {
      const { db, insert, rows } = await setUp()
      const fails = method(db, 'NESTED', () => fail(() => insert('undone')))
      const works = method(db, 'NESTED', () => insert('inner'))
      await method(db, 'REQUIRED', async () => {
        await insert('outer')
        await caught(fails())
        await works()
      })()
      await caught(method(db, 'REQUIRED', () => fail(works))())

      expect(await rows()).toEqual(['inner', 'outer'])
    })

    test.runIf(several)('REQUIRES_NEW is another, on another connection, whatever becomes of the first', async () => {
      const { db, insert, rows } = await setUp()
      const inner = method(db, 'REQUIRES_NEW', () => insert('inner').then(() => pid(db)))
      const pids: unknown[] = []
      await caught(
        method(db, 'REQUIRED', () =>
          fail(async () => {
            await insert('outer')
            pids.push(await pid(db), await inner(), await pid(db))
          }),
        )(),
      )

      expect(await rows()).toEqual(['inner'])
      expect([pids[0] === pids[2], pids[0] === pids[1]]).toEqual([true, false])
    })

    test.runIf(several)(
      'NOT_SUPPORTED runs beside it, on another connection, with the settings around it',
      async () => {
        const { db, insert, rows } = await setUp()
        const seen: unknown[] = []
        const inner = method(db, 'NOT_SUPPORTED', async () => {
          await insert('inner')
          seen.push(await db.scalar("select current_setting('app.tenant', true)"), await pid(db))
        })
        await db.scope(
          () =>
            caught(
              method(db, 'REQUIRED', () =>
                fail(async () => {
                  await insert('outer')
                  seen.push(await pid(db))
                  await inner()
                }),
              )(),
            ),
          { settings: { 'app.tenant': '7' } },
        )

        expect(await rows()).toEqual(['inner'])
        expect([seen[1], seen[0] === seen[2]]).toEqual(['7', false])
      },
    )

    test.runIf(!several)('what needs another connection says at once that there is none', async () => {
      const { db, insert } = await setUp()
      for (const mode of ['REQUIRES_NEW', 'NOT_SUPPORTED'] as const) {
        const inner = method(db, mode, () => insert('inner'))
        expect(await caught(method(db, 'REQUIRED', () => insert('outer').then(inner))()), mode).toBeInstanceOf(
          SelfDeadlockError,
        )
      }
    })

    test('NEVER refuses, and the transaction can go on', async () => {
      const { db, insert, rows } = await setUp()
      const inner = method(db, 'NEVER', () => insert('lost'))
      const error = await method(db, 'REQUIRED', async () => {
        const seen = await caught(inner())
        await insert('outer')
        return seen
      })()

      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error).toMatchObject({ message: expect.stringContaining('(propagation NEVER)') })
      expect(await rows()).toEqual(['outer'])
    })
  })

  test('options are those of the transaction; joining one, they hold as a savepoint or are refused', async () => {
    const { db, insert, rows } = await setUp()
    const level = () => db.scalar('select current_setting($1)', ['transaction_isolation'])
    const serializable = { isolation: 'serializable', readOnly: true }
    expect(await method(db, undefined, level, serializable)()).toBe('serializable')

    const plain = method(db, 'REQUIRED', method(db, 'REQUIRED', level, serializable))
    expect(await caught(plain())).toBeInstanceOf(TransactionStateError)
    const slow = method(db, 'REQUIRED', () => insert('undone').then(() => new Promise(() => {})), { timeoutMs: 50 })
    await method(db, 'REQUIRED', async () => {
      await insert('kept')
      expect(await caught(slow())).toBeInstanceOf(TransactionTimeoutError)
    })()
    expect(await rows()).toEqual(['kept'])
    expect(thrownBy(() => Transactional({ propagation: 'NEVER', isolation: 'serializable' })).message).toContain(
      'begins no transaction, so it cannot have the option isolation',
    )
  })

  test('code of a transaction that has ended is told so, not given another', async () => {
    const { db, insert } = await setUp()
    let late: Promise<Error> | undefined
    let end = (): void => {}
    const ended = new Promise<void>((resolve) => (end = resolve))
    await method(db, 'REQUIRED', async () => {
      late = ended.then(() => caught(method(db, 'REQUIRED', () => insert('late'))()))
    })()
    end()

    expect(await late).toBeInstanceOf(TransactionEndedError)
  })
})

describe('the database', () => {
  test('is injected by name into what Nest makes, also into subclasses and for a class as a whole', async () => {
    const url = await databaseUrl()
    const names = { main: `nest main ${process.pid}`, reports: `nest reports ${process.pid}` }
    class Base {
      @Transactional()
      async main(): Promise<string> {
        return 'main'
      }
    }
    @Injectable()
    class Service extends Base {
      @Transactional({ db: 'reports' })
      async reports(given: string): Promise<string> {
        return `reports ${given}`
      }
    }
    @Injectable()
    @Transactional()
    class Whole {
      async one(): Promise<string> {
        return this.two()
      }
      @Transactional({ propagation: 'NEVER' })
      async never(): Promise<string> {
        return 'never'
      }
      two(): string {
        return 'two'
      }
    }
    const app = await NestFactory.createApplicationContext(
      moduleOf({
        imports: [
          GeneverModule.forRoot({ url, kwargs: { name: names.main }, log: false }),
          GeneverModule.forRoot({ url, kwargs: { name: names.reports }, log: false }, 'reports'),
        ],
        providers: [Service, Whole],
      }),
      { logger: false, abortOnError: false },
    )
    using main = hear(names.main)
    using reports = hear(names.reports)
    const [service, whole] = [app.get(Service), app.get(Whole)]

    expect([await service.main(), main.transactions.length, reports.transactions.length]).toEqual(['main', 2, 0])
    expect([await service.reports('7'), reports.transactions.length]).toEqual(['reports 7', 2])
    expect([await whole.one(), main.transactions.length]).toEqual(['two', 4])
    expect([await whole.never(), whole.two(), main.transactions.length]).toEqual(['never', 'two', 4])
    await app.close()
  })

  test('that nobody has injected is missed by name', async () => {
    class Loose {
      @Transactional()
      async run(): Promise<void> {}
    }
    const error = await caught(new Loose().run())
    expect([error instanceof UsageError, error.message]).toEqual([
      true,
      expect.stringContaining('Loose.run has no database'),
    ])
  })

  test('may be given to static methods, and to decorators of the standard', async () => {
    await using db = await createDb(await databaseUrl()).open()
    const inside = () => db.transaction(async (tx) => tx.connection === db.current)
    class Service {
      @Transactional({ db })
      static async run(): Promise<unknown> {
        return [this === Service, await inside()]
      }
    }
    expect(await Service.run()).toEqual([true, true])

    const context = { kind: 'method', name: 'run', addInitializer() {} } as unknown as ClassMethodDecoratorContext
    const standard = Transactional({ db, propagation: 'MANDATORY' })(async (n: number) => n + 1, context)
    expect(await db.transaction(() => standard(1))).toBe(2)
    expect(await caught(standard(1))).toBeInstanceOf(TransactionStateError)
  })
})

describe('the decorator', () => {
  test('keeps what others know a method by, above it and below it', () => {
    class Routes {
      @Get('above')
      @Transactional()
      async above(one: number, two: number): Promise<number> {
        return one + two
      }
      @Transactional()
      @Get('below')
      async below(): Promise<void> {}
    }
    const [above, below] = ['above', 'below'].map(
      (key) => Object.getOwnPropertyDescriptor(Routes.prototype, key)?.value,
    )
    expect([Reflect.getMetadata('path', above), Reflect.getMetadata('path', below)]).toEqual(['above', 'below'])
    expect([above.name, above.length]).toEqual(['above', 2])
  })

  test('is for async methods, by type and where it is written', () => {
    class Sync {
      // @ts-expect-error -- it would give a promise where a number is promised
      @Transactional()
      count(): number {
        return 1
      }
    }
    expect(Sync.name).toBe('Sync')
    class Nothing {
      count(): number {
        return 1
      }
    }
    expect(thrownBy(() => Transactional()(Nothing)).message).toContain('no method is async')
    expect(thrownBy(() => Transactional({ propagation: 'ALWAYS' as Propagation })).message).toContain(modes.join(', '))
  })
})
