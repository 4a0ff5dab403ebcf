/** Authors with posts and comments, for what is loaded as lists. */

import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { Model } from 'genever/models'
import type { TestedDriver } from '../../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
export async function blog(driver: TestedDriver, options: { index?: boolean; name?: string; max?: number } = {}) {
  const { name, max } = options
  const db = await driver.db({
    ...(name === undefined ? {} : { name }),
    ...(max === undefined ? {} : { pool: { max } }),
  })
  const authors = pgTable(await driver.table('id serial primary key, name text not null'), {
    id: serial().primaryKey(),
    name: text().notNull(),
  })
  const table = await driver.table(
    'id serial primary key, author_id int, title text not null, score int not null default 0',
  )
  if (options.index === true) await db.status(`create index on ${table} (author_id)`)
  const posts = pgTable(table, {
    id: serial().primaryKey(),
    authorId: integer('author_id').references(() => authors.id),
    title: text().notNull(),
    score: integer().notNull().default(0),
  })
  const comments = pgTable(await driver.table('id serial primary key, post_id int, line text'), {
    id: serial().primaryKey(),
    postId: integer('post_id').references(() => posts.id),
    line: text(),
  })
  class Author extends Model(db, authors) {}
  class Post extends Model(db, posts) {}
  class Comment extends Model(db, comments) {}
  await Author.createMany([{ name: 'A' }, { name: 'B' }, { name: 'C' }])
  await Post.createMany([
    { authorId: 1, title: 'a1', score: 3 },
    { authorId: 1, title: 'a2', score: 1 },
    { authorId: 1, title: 'a3', score: 2 },
    { authorId: 2, title: 'b1', score: 9 },
  ])
  await Comment.createMany([
    { postId: 1, line: 'x' },
    { postId: 1, line: 'back\\slash "quoted" {1,2} (ü 💧)' },
    { postId: 4, line: null },
  ])
  return { db, table, Author, Post, Comment }
}

export const titles = (rows: readonly { readonly posts: readonly { readonly title: string }[] }[]): string[] =>
  rows.map(({ posts }) => posts.map(({ title }) => title).join(' '))
