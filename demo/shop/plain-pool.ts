// node-postgres alone, with as many connections, for comparison: each `pool.query` takes a connection and gives it back.
import pg from 'pg'
import { poolSize } from '../db.ts'

let current: pg.Pool | undefined

/** Made by the program when it knows the database. */
export function openPlainPool(connectionString: string): AsyncDisposable {
  const pool = new pg.Pool({ connectionString, max: poolSize })
  current = pool
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      current = undefined
      await pool.end()
    },
  }
}

export function plainPool(): pg.Pool {
  if (current === undefined) throw new Error('openPlainPool() comes first')
  return current
}
