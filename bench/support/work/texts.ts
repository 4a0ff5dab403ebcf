// The texts that those send who write SQL by hand, on the tables of `../models/tables.ts`. Bun reads them too.
import type { NewNote } from '../models/workloads.ts'

const columns = 'id, author_id as "authorId", title, body, published, score, created_at as "createdAt"'
const given = 'author_id, title, body, published, score, created_at'

export const texts = {
  get: `select ${columns} from posts where id = $1`,
  rows: `select ${columns} from posts where id > $1 order by id limit $2`,
  author: 'select id, name, email from authors where id = $1',
  posts: `select ${columns} from posts where author_id = $1`,
  create: `insert into notes (${given}) values ($1, $2, $3, $4, $5, $6) returning id`,
  createMany: `insert into notes (${given}) select * from unnest($1::int[], $2::text[], $3::text[], $4::bool[], $5::int[], $6::timestamptz[]) returning id`,
  update: 'update posts set score = $1 where id = $2',
  all: `select ${columns} from posts, generate_series(1, 10)`,
} as const

export type TextName = keyof typeof texts

export function listed({ authorId, title, body, published, score, createdAt }: NewNote): unknown[] {
  return [authorId, title, body, published, score, createdAt]
}

/** A list for each column. */
export function columnsOf(rows: readonly NewNote[]): unknown[][] {
  const lists: unknown[][] = [[], [], [], [], [], []]
  for (const row of rows) listed(row).forEach((value, at) => lists[at]?.push(value))
  return lists
}

/** `values` with a parameter for each value, as those write it who send no lists. */
export function valuesText(rows: number): string {
  const row = (n: number): string => `(${[1, 2, 3, 4, 5, 6].map((at) => `$${n * 6 + at}`).join(', ')})`
  return `insert into notes (${given}) values ${Array.from({ length: rows }, (_, n) => row(n)).join(', ')} returning id`
}
