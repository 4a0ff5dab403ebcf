// The database of the benchmarks: a temporary one with posts, authors and a log that grows.
import { createEngine } from 'genever'
import { temporaryDatabase, type Database } from '../../demo/support/database.ts'
import { posts } from './workloads.ts'

const tables = [
  'create table authors (id int primary key, name text not null, email text not null)',
  `create table posts (
     id int primary key, author_id int not null, title text not null, body text not null,
     published bool not null, score int not null, created_at timestamptz not null)`,
  'create table log (id int primary key generated always as identity, post_id int not null)',
  `insert into authors select n, 'Author ' || n, 'author' || n || '@example.org' from generate_series(1, 100) n`,
  `insert into posts
     select n, 1 + n % 100, 'Post ' || n, repeat('The quick brown fox jumps over it. ', 8) || n,
       n % 3 <> 0, n % 1000, '2025-01-01Z'::timestamptz + n * interval '1 second'
     from generate_series(1, ${posts}) n`,
  'vacuum analyze',
]

export async function benchDatabase(): Promise<Database> {
  const database = await temporaryDatabase()
  await using engine = await createEngine(database.url)
  for (const text of tables) await engine.status(text)
  return database
}
