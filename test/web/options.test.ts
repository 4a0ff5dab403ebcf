/** The configuration of plug-ins: by the flat names of GINO's extensions or nested, by argument or in the framework's place. */

import { createDb, InvalidOptionError } from 'genever'
import { genever as express } from 'genever/express'
import { genever as http } from 'genever/http'
import { genever as koa } from 'genever/koa'
import expressApp from 'express'
import Koa from 'koa'
import { describe, expect, test } from 'vitest'
import { type PluginOptions, resolvePluginOptions } from '../../src/plugins/options.ts'
import { caught, thrownBy } from '../support/caught.ts'

const resolved = (given: Record<string, unknown>): unknown => resolvePluginOptions(given as PluginOptions)
const problems = (given: Record<string, unknown>): string[] => {
  const error = thrownBy(() => resolved(given))
  expect(error).toBeInstanceOf(InvalidOptionError)
  return (error as unknown as InvalidOptionError).options.map(({ name, problem }) => `${name} ${problem}`)
}

describe('flat names', () => {
  test('mean what they meant, with their defaults', () => {
    const given = {
      driver: 'pg',
      host: 'db.example',
      port: 6432,
      user: 'app',
      password: 'secret',
      database: 'shop',
      poolMinSize: 2,
      poolMaxSize: 20,
      echo: true,
      ssl: true,
      retryLimit: 3,
      retryInterval: 0.5,
      useConnectionForRequest: false,
      kwargs: { applicationName: 'shop', pool: { acquireTimeoutMs: 100 } },
    }

    expect(resolved(given)).toMatchObject({
      source: {
        driver: 'pg',
        host: 'db.example',
        port: 6432,
        user: 'app',
        database: 'shop',
        pool: { min: 2, max: 20, acquireTimeoutMs: 100 },
        echo: true,
        ssl: true,
        applicationName: 'shop',
      },
      retry: { limit: 3, intervalMs: 500 },
      connectionForRequest: false,
    })
    expect(resolved({ user: 'app' })).toMatchObject({
      source: { user: 'app', database: 'postgres' },
      retry: { limit: 1, intervalMs: 1000 },
      connectionForRequest: true,
    })
    expect(resolved({ retryTimes: 20 })).toMatchObject({ source: null, retry: { limit: 20 } })
  })

  test('dsn replaces the parts; url does not, and must agree with them', () => {
    const dsn = 'postgres://app@db.example/shop'

    expect(resolved({ dsn, host: 'elsewhere', user: 'postgres', poolMaxSize: 3 })).toMatchObject({
      source: dsn,
      engine: { pool: { max: 3 } },
    })
    expect((resolved({ dsn, host: 'elsewhere' }) as { engine: unknown }).engine).toBeUndefined()
    expect(problems({ url: dsn, host: 'elsewhere' })).toEqual([
      expect.stringContaining('host is given in the source and in the options'),
    ])
  })

  test('and their nested heirs are not both given', () => {
    expect(
      problems({
        dsn: 'postgres://a/b',
        url: 'postgres://a/b',
        poolMaxSize: 3,
        pool: { max: 3 },
        retryLimit: 1,
        retryTimes: 1,
        retryInterval: 1,
        retry: { intervalMs: 1000 },
        useConnectionForRequest: true,
        connectionForRequest: true,
        applicationName: 'a',
        kwargs: { applicationName: 'a' },
      }),
    ).toEqual([
      'dsn is the same as url, which is given too',
      'poolMaxSize is the same as pool.max, which is given too',
      'retryTimes is the same as retryLimit, which is given too',
      'retryInterval is the same as retry.intervalMs, which is given too',
      'useConnectionForRequest is the same as connectionForRequest, which is given too',
      'kwargs.applicationName is given outside of kwargs too',
    ])
  })
})

describe('what is wrong', () => {
  test('is told all together, by the name it was given by, and never with its value', () => {
    const given = {
      pol: { max: 3 },
      poolMaxSize: 0,
      retryInterval: 'secret',
      onAbort: 'secret',
      as: 'a b',
      kwargs: { max_inactive: 1 },
      transaction: { retry: 3 },
    }
    const error = thrownBy(() => resolved(given))

    expect(problems(given).map((line) => line.split(' ')[0])).toEqual([
      'as',
      'onAbort',
      'transaction.retry',
      'pol',
      'poolMaxSize',
      'max_inactive',
      'retryInterval',
    ])
    expect(problems(given)[3]).toContain('is not an option of a plug-in or of the engine')
    expect(error.message).not.toContain('secret')
  })

  test('is told when the plug-in is made, before a server listens', () => {
    const db = createDb()
    const wrong = { host: 5 } as unknown as { host: string }

    for (const make of [() => http(db, wrong), () => express(db, wrong), () => koa(db, wrong)])
      expect(make).toThrow(InvalidOptionError)
  })
})

describe("the framework's own place", () => {
  test('is read when the database is opened, and not beside options by argument', async () => {
    const wrong = { poolMaxSize: 0 }
    const settings = expressApp().set('genever', wrong)
    const app = new Koa()
    app.context['genever'] = wrong

    for (const opened of [express(createDb()).open(settings), koa(createDb()).open(app)])
      expect(await caught(opened)).toMatchObject({ options: [{ name: 'poolMaxSize' }] })
    for (const opened of [express(createDb(), {}).open(settings), koa(createDb(), {}).open(app)])
      expect((await caught(opened)).message).toContain('Give them in one place')
  })
})
