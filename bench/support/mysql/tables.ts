// The tables of `bench/mysql.ts`: as Drizzle declares them, and with their rows.
import { boolean, datetime, int, mysqlTable, text, varchar } from 'drizzle-orm/mysql-core'
import { createEngine } from 'genever'
import { posts as most } from '../workloads.ts'

// oxlint-disable typescript/explicit-function-return-type, typescript/explicit-module-boundary-types -- tables are inferred
export const posts = mysqlTable('posts', {
  id: int().primaryKey(),
  authorId: int('author_id').notNull(),
  title: varchar({ length: 80 }).notNull(),
  body: text().notNull(),
  published: boolean().notNull(),
  score: int().notNull(),
  createdAt: datetime('created_at', { fsp: 3 }).notNull(),
})

export const log = mysqlTable('log', {
  id: int().autoincrement().primaryKey(),
  postId: int('post_id').notNull(),
})

const ddl = [
  `create table posts (
     id int primary key, author_id int not null, title varchar(80) not null, body text not null,
     published bool not null, score int not null, created_at datetime(3) not null)`,
  'create table log (id int primary key auto_increment, post_id int not null)',
  // Recursive queries of both servers end at a thousand rows.
  `insert into posts
     with digits as (${Array.from({ length: 10 }, (_, n) => `select ${n} n`).join(' union all ')}),
       numbers as (select 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n n from digits a, digits b, digits c, digits d)
     select n, 1 + n % 100, concat('Post ', n), concat(repeat('The quick brown fox jumps over it. ', 8), n),
       n % 3 <> 0, n % 1000, timestamp '2025-01-01 00:00:00' + interval n second
     from numbers where n <= ${most}`,
  'analyze table posts',
]

export async function fill(url: string): Promise<void> {
  await using engine = await createEngine(url)
  for (const each of ddl) await engine.status(each)
}
