// Genever by its drivers, and its models.
import { createDb, type Db } from 'genever'
import type { EngineOptions } from 'genever'
import { genever as models } from '../models/genever.ts'
import { columnsOf, listed, texts } from './texts.ts'
import type { Within, Work, WorkSides } from './workloads.ts'

/** How many rows a cursor fetches at a time. */
export const batchSize = 1_000

export async function genever(url: string, max: number, name: string, options: EngineOptions): Promise<WorkSides> {
  const db = await createDb(url, { ...options, pool: { max } }).open()
  const byRows = { name: `${name} by rows`, work: { stream: () => streamByRows(db) } }
  return { sides: [{ name, work: workOf(db) }, byRows], close: () => db.close() }
}

async function streamByRows(db: Db): Promise<number> {
  let rows = 0
  for await (const _ of db.iterate(texts.all, [], { batchSize })) rows++
  return rows
}

function workOf(db: Db): Work {
  const within: Within = {
    get: (id) => db.first(texts.get, [id]),
    update: (id, score) => db.status(texts.update, [score, id]),
    create: (values) => db.scalar(texts.create, listed(values)),
  }
  return {
    ...within,
    rows: (after, limit) => db.all(texts.rows, [after, limit]),
    author: (id) =>
      db.scope(async () => {
        const [author, posts] = await Promise.all([db.first(texts.author, [id]), db.all(texts.posts, [id])])
        return { ...author, posts }
      }),
    async createMany(rows) {
      const made = await db.all<{ id: number }>(texts.createMany, columnsOf(rows))
      return made.map(({ id }) => id)
    },
    transaction: (work) => db.transaction(() => work(within)),
    checkout: (work) => db.scope(() => work(within)),
    async stream() {
      let rows = 0
      for await (const some of db.iterate(texts.all, [], { batchSize }).batches()) rows += some.length
      return rows
    },
  }
}

export async function geneverModels(url: string, max: number, options: EngineOptions): Promise<WorkSides> {
  const { sides, close } = await models(url, max, options)
  const [side] = sides
  const { page: _, ...work } = side?.operations ?? {}
  return { sides: [{ name: 'genever, models', work }], close }
}
