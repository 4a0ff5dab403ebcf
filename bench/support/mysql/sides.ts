// What `bench/mysql.ts` compares: the same work on the same rows, each in the words of the library that does it, on a pool of the
// same size.
import { gt } from 'drizzle-orm'
import { createDb } from 'genever'
import { Model } from 'genever/models'
import { createPool, type Pool, type PoolConnection } from 'mysql2'
import type { ResultSetHeader } from 'mysql2/promise'
import { poolSize } from '../workloads.ts'
import { log, posts } from './tables.ts'

/** What can be done inside of a transaction or on one connection. */
export interface Within {
  row(id: number): PromiseLike<unknown>
  score(id: number, score: number): PromiseLike<unknown>
  /** Gives the key. */
  insert(postId: number): PromiseLike<unknown>
}

export interface MysqlSide extends Within {
  readonly name: string
  /** 100 rows after that one. */
  page?(after: number): PromiseLike<readonly unknown[]>
  /** Runs `work` as the statements of one request: on one connection, where the library has a word for that. */
  request?(work: (within: Within) => Promise<void>): PromiseLike<unknown>
  transaction?(work: (within: Within) => Promise<void>): PromiseLike<unknown>
  /** 1,000 rows after that one, row by row; gives how many there were. */
  stream?(after: number): PromiseLike<number>
  close(): PromiseLike<unknown>
}

const columns = 'id, author_id, title, body, published, score, created_at'
const texts = {
  row: `select ${columns} from posts where id = ?`,
  page: `select ${columns} from posts where id > ? order by id limit 100`,
  stream: `select ${columns} from posts where id > ? order by id limit 1000`,
  score: 'update posts set score = ? where id = ?',
  insert: 'insert into log (post_id) values (?)',
} as const

/** Of mysql2, with its defaults; times are UTC, as everybody else reads them. */
export function mysqlPool(url: string): Pool {
  return createPool({ uri: url, connectionLimit: poolSize, timezone: 'Z' })
}

/** Its pool, and its connections. */
interface Sender {
  query(text: string, values: number[]): Promise<[unknown, unknown]>
  execute(text: string, values: number[]): Promise<[unknown, unknown]>
}

/** mysql2 itself: `query` writes values into the text, `execute` prepares. */
export function mysql2(url: string, how: 'query' | 'execute'): MysqlSide {
  const pool = mysqlPool(url)
  const promises = pool.promise()
  const send = async (on: Sender, text: string, values: number[]): Promise<unknown> => (await on[how](text, values))[0]
  const rows = (on: Sender, text: string, values: number[]): Promise<unknown[]> =>
    send(on, text, values) as Promise<unknown[]>
  const within = (on: Sender): Within => ({
    row: async (id) => (await rows(on, texts.row, [id]))[0],
    score: (id, score) => send(on, texts.score, [score, id]),
    insert: async (id) => ((await send(on, texts.insert, [id])) as ResultSetHeader).insertId,
  })
  const taken = (): Promise<PoolConnection> =>
    new Promise((resolve, reject) => {
      pool.getConnection((error, connection) => (error === null ? resolve(connection) : reject(error)))
    })
  return {
    name: `mysql2, ${how}`,
    ...within(promises),
    page: (after) => rows(promises, texts.page, [after]),
    async request(work) {
      const connection = await promises.getConnection()
      try {
        await work(within(connection))
      } finally {
        connection.release()
      }
    },
    async transaction(work) {
      const connection = await promises.getConnection()
      try {
        await connection.beginTransaction()
        await work(within(connection))
        await connection.commit()
      } catch (error) {
        await connection.rollback()
        throw error
      } finally {
        connection.release()
      }
    },
    async stream(after) {
      const connection = await taken()
      try {
        let count = 0
        const query =
          how === 'query' ? connection.query(texts.stream, [after]) : connection.execute(texts.stream, [after])
        for await (const _ of query.stream()) count++
        return count
      } finally {
        connection.release()
      }
    },
    close: () => promises.end(),
  }
}

export async function genever(url: string): Promise<MysqlSide> {
  const db = await createDb(url, { pool: { max: poolSize } }).open()
  const within: Within = {
    row: (id) => db.first(texts.row, [id]),
    score: (id, score) => db.status(texts.score, [score, id]),
    insert: async (id) => (await db.status(texts.insert, [id])).insertId,
  }
  return {
    name: 'genever',
    ...within,
    page: (after) => db.all(texts.page, [after]),
    request: (work) => db.scope(() => work(within)),
    transaction: (work) => db.transaction(() => work(within)),
    async stream(after) {
      let count = 0
      for await (const _ of db.iterate(texts.stream, [after])) count++
      return count
    },
    close: () => db.close(),
  }
}

export async function geneverModels(url: string): Promise<MysqlSide> {
  const db = await createDb(url, { pool: { max: poolSize } }).open()
  class Post extends Model(db, posts) {}
  class Log extends Model(db, log) {}
  const within: Within = {
    row: (id) => Post.get(id),
    score: (id, score) => Post.update({ score }).where({ id }),
    // It is an object of the row that the server has, not the key alone.
    insert: async (postId) => (await Log.create({ postId })).id,
  }
  return {
    name: 'genever, models',
    ...within,
    page: (after) => Post.where(gt(Post.c.id, after)).orderBy(Post.c.id).limit(100).all(),
    request: (work) => db.scope(() => work(within)),
    transaction: (work) => db.transaction(() => work(within)),
    close: () => db.close(),
  }
}
