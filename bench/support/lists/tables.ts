// The tables of `bench/lists.ts`: authors with posts in several sizes, each with an index on the key of the author and without.
import { integer, type PgTable, pgTable, text, timestamp } from 'drizzle-orm/pg-core'

// oxlint-disable typescript/explicit-function-return-type, typescript/explicit-module-boundary-types -- tables are inferred
export const authorsOf = (name: string) =>
  pgTable(name, { id: integer().primaryKey(), name: text().notNull(), email: text().notNull() })

export const postsOf = (name: string, authors: ReturnType<typeof authorsOf>) =>
  pgTable(name, {
    id: integer().primaryKey(),
    authorId: integer('author_id')
      .notNull()
      .references(() => authors.id),
    title: text().notNull(),
    body: text().notNull(),
    score: integer().notNull(),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull(),
  })

export const partsOf = (
  name: string,
  of: 'author' | 'post',
  owner: PgTable & { id: ReturnType<typeof authorsOf>['id'] },
) =>
  pgTable(name, {
    id: integer().primaryKey(),
    ownerId: integer(`${of}_id`)
      .notNull()
      .references(() => owner.id),
    line: text().notNull(),
  })

export interface Size {
  readonly name: string
  readonly authors: number
  /** Of each author. */
  readonly posts: number
}

export const sizes: readonly Size[] = [
  { name: 'hundred', authors: 100, posts: 100 },
  { name: 'ten', authors: 100, posts: 10 },
  { name: 'one', authors: 1_000, posts: 1 },
  { name: 'many', authors: 10_000, posts: 10 },
]

function ddlOf({ name, authors, posts }: Size): string[] {
  const fill = (table: string): string =>
    `create table ${table} (id int primary key, author_id int not null, title text not null, body text not null,
       score int not null, created_at timestamptz not null);
     insert into ${table}
       select n, 1 + n % ${authors}, 'Post ' || n, repeat('The quick brown fox jumps over it. ', 8) || n, n % 1000,
         '2025-01-01Z'::timestamptz + n * interval '1 second'
       from generate_series(1, ${authors * posts}) n`
  return [
    `create table authors_${name} (id int primary key, name text not null, email text not null);
     insert into authors_${name} select n, 'Author ' || n, 'author' || n || '@example.org' from generate_series(1, ${authors}) n`,
    fill(`posts_${name}`),
    `create index on posts_${name} (author_id)`,
    fill(`bare_${name}`),
  ]
}

export const ddl: readonly string[] = [
  ...sizes.flatMap(ddlOf),
  `create table comments (id int primary key, author_id int not null, line text not null);
   insert into comments select n, 1 + n % 100, 'Comment ' || n from generate_series(1, 2000) n;
   create index on comments (author_id)`,
  `create table replies (id int primary key, post_id int not null, line text not null);
   insert into replies select n, 1 + n % 10000, 'Reply ' || n from generate_series(1, 20000) n;
   create index on replies (post_id)`,
]
