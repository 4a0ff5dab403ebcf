/** A db that reaches its database by a pooler or a proxy. */

import { createDb, type Db, type EngineOptions } from 'genever'
import type { FreshDatabase } from './database.ts'

export interface Behind extends AsyncDisposable {
  readonly db: Db
  readonly direct: FreshDatabase
}

/** Disposed, it ends all three. */
export function behind(
  direct: FreshDatabase,
  way: AsyncDisposable & { readonly url: string },
  options: EngineOptions,
): Behind {
  const db = createDb(way.url, options)
  return {
    db,
    direct,
    async [Symbol.asyncDispose]() {
      await db.close({ timeoutMs: 500 })
      await way[Symbol.asyncDispose]()
      await direct.drop()
    },
  }
}
