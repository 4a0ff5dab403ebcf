// The readiness route of the option `health`: a controller, so that prefixes, versions and guards of the application hold.
import { Controller, Get, Header, HttpException, Inject, type InjectionToken, type Type } from '@nestjs/common'
import type { Db } from '../../../db/db.ts'
import { checkHealth, type Health, type HealthOptions } from '../../health.ts'
import { TransactionalRoute } from '../request/route.ts'

/** A controller that answers 200 when the database does within the deadline, else 503; with counts of the pool. */
export function readinessController(
  { path, timeoutMs }: HealthOptions & { readonly path: string },
  token: InjectionToken<Db>,
  name: string | undefined,
): Type {
  class Readiness {
    readonly #db: Db

    constructor(db: Db) {
      this.#db = db
    }

    async ready(): Promise<Health['body']> {
      const { status, body } = await checkHealth(this.#db, { timeoutMs })
      if (status === 200) return body
      throw new HttpException(body, status)
    }
  }
  const { prototype } = Readiness
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'ready') as TypedPropertyDescriptor<unknown>
  for (const decorate of [Get(), Header('cache-control', 'no-store'), TransactionalRoute(false, name)])
    decorate(prototype, 'ready', descriptor)
  Inject(token)(Readiness, undefined, 0)
  Controller(path)(Readiness)
  return Readiness
}
