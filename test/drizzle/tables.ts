/** People and what they wrote: the tables of the suites on queries. */

import { sql } from 'drizzle-orm'
import { integer, pgTable, pgView, serial, text, timestamp } from 'drizzle-orm/pg-core'

export const users = pgTable('users', {
  id: serial().primaryKey(),
  name: text().notNull(),
  nick: text(),
  born: timestamp({ withTimezone: true, mode: 'date' }),
})

export const posts = pgTable('posts', {
  id: serial().primaryKey(),
  authorId: integer('author_id').references(() => users.id),
  title: text().notNull(),
  at: timestamp({ mode: 'date' }).notNull().defaultNow(),
})

export const titles = pgView('titles', { id: integer(), title: text() }).as(sql`select id, title from posts`)

export const tablesDdl = `
  create table users (id serial primary key, name text not null unique, nick text, born timestamptz);
  create table posts (id serial primary key, author_id int references users, title text not null, at timestamp not null default now());
  create view titles as select id, title from posts`

/** Three people, of whom one wrote nothing, and three posts, of which one has no author. */
export const rowsSql = `
  truncate users, posts restart identity;
  insert into users (name, nick, born) values ('ann', null, '1990-01-02 03:04:05Z'), ('bob', 'b', null), ('cid', null, '2000-02-29');
  insert into posts (author_id, title, at) values (1, 'first', '2026-01-01'), (1, 'second', '2026-01-02 10:00'), (null, 'third', '2026-01-03')`
