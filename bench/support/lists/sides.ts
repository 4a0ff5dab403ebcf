// What `bench/lists.ts` measures, in the words of each library: operations by name, on the tables of `tables.ts`.
import { eq, lte, relations, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import * as core from 'genever'
import * as models from 'genever/models'
import { resolve } from 'node:path'
import pg from 'pg'
import { authorsOf, partsOf, postsOf, sizes } from './tables.ts'

const ours: Package = { createDb: core.createDb, Model: models.Model, many: models.many }

type Operation = (n: number) => PromiseLike<unknown>

export interface ListSide {
  readonly name: string
  readonly operations: Readonly<Record<string, Operation>>
  readonly close: () => Promise<unknown>
}

/** What a workload is called, and what it is. */
export const workloads: Readonly<Record<string, string>> = {
  author: 'an author with 100 posts',
  ten: '100 authors with 10 posts',
  'ten-bare': '100 authors with 10 posts, without an index',
  one: '1,000 authors with 1 post',
  'one-bare': '1,000 authors with 1 post, without an index',
  two: '20 authors with 100 posts and 20 comments each',
  three: '20 authors with 100 posts with 2 replies each',
  offset: '50 authors with 10 posts at offset 5,000',
  'offset-flat': 'the same without posts',
  many: '10,000 authors with 10 posts',
  'many-bare': '10,000 authors with 10 posts, without an index',
}

interface Package {
  readonly createDb: typeof core.createDb
  readonly Model: typeof models.Model
  readonly many: typeof models.many
}

/** Of another checkout, after `npm run build` there. */
export async function packageOf(checkout: string): Promise<Package> {
  const load = (file: string): Promise<Package> => import(resolve(checkout, 'dist', file)) as Promise<Package>
  return { ...(await load('index.js')), ...(await load('models/index.js')) }
}

export async function genever(
  url: string,
  strategy: 'joined' | 'select-in',
  { createDb, Model, many }: Package = ours,
): Promise<ListSide> {
  const db = await createDb(url, { driver: 'pg', pool: { max: 1 } }).open()
  const operations: Record<string, Operation> = {}
  for (const { name } of sizes) {
    const authors = authorsOf(`authors_${name}`)
    class Author extends Model(db, authors) {}
    for (const bare of [false, true]) {
      class Post extends Model(db, postsOf(`${bare ? 'bare' : 'posts'}_${name}`, authors)) {}
      const query = Author.query().load(Author.load({ posts: many(Post) }), { strategy })
      if (name === 'hundred') {
        if (bare) continue
        operations['author'] = (n) => query.where({ id: 1 + (n % 100) }).first()
        class Comment extends Model(db, partsOf('comments', 'author', authors)) {}
        class Reply extends Model(db, partsOf('replies', 'post', Post.table)) {}
        const twenty = Author.where(lte(Author.c.id, 20))
        const two = twenty.load(Author.load({ posts: many(Post), comments: many(Comment) }), { strategy })
        const three = twenty.load(Author.load({ posts: many(Post.load({ replies: many(Reply) })) }), { strategy })
        operations['two'] = () => two.all()
        operations['three'] = () => three.all()
        continue
      }
      operations[bare ? `${name}-bare` : name] = () => query.all()
      if (name !== 'many' || bare) continue
      const page = query.orderBy(Author.c.id).limit(50).offset(5_000)
      operations['offset'] = () => page.all()
      const plain = Author.query().orderBy(Author.c.id).limit(50).offset(5_000)
      operations['offset-flat'] = () => plain.all()
    }
  }
  return { name: strategy === 'joined' ? 'genever' : "genever, 'select-in'", operations, close: () => db.close() }
}

interface Built extends PromiseLike<unknown> {
  prepare(name: string): { execute(values?: Record<string, unknown>): PromiseLike<unknown> }
}

/** Drizzle's relational queries: built each time, or prepared. */
export async function drizzle045(url: string, prepared: boolean): Promise<ListSide> {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  const operations: Record<string, Operation> = {}
  const run = (name: string, build: () => Built): void => {
    const ready = prepared ? build().prepare(name.replaceAll(/\W/g, '_')) : null
    operations[name] = (n) => (ready === null ? build() : ready.execute({ id: 1 + (n % 100) }))
  }
  for (const { name } of sizes)
    for (const bare of [false, true]) {
      const authors = authorsOf(`authors_${name}`)
      const posts = postsOf(`${bare ? 'bare' : 'posts'}_${name}`, authors)
      const comments = partsOf('comments', 'author', authors)
      const replies = partsOf('replies', 'post', posts)
      const ofAuthors = relations(authors, (of) => ({ posts: of.many(posts), comments: of.many(comments) }))
      const ofPosts = relations(posts, (of) => ({
        replies: of.many(replies),
        author: of.one(authors, { fields: [posts.authorId], references: [authors.id] }),
      }))
      const ofComments = relations(comments, ({ one }) => ({
        author: one(authors, { fields: [comments.ownerId], references: [authors.id] }),
      }))
      const ofReplies = relations(replies, ({ one }) => ({
        post: one(posts, { fields: [replies.ownerId], references: [posts.id] }),
      }))
      const schema = { authors, posts, comments, replies, ofAuthors, ofPosts, ofComments, ofReplies }
      const { query } = drizzle({ client: pool, schema })
      if (name !== 'hundred') run(bare ? `${name}-bare` : name, () => query.authors.findMany({ with: { posts: true } }))
      if (bare) continue
      const first = lte(authors.id, 20)
      const page = { orderBy: authors.id, limit: 50, offset: 5_000 }
      if (name === 'hundred') {
        const id = sql.placeholder('id')
        if (prepared) run('author', () => query.authors.findFirst({ where: eq(authors.id, id), with: { posts: true } }))
        else
          operations['author'] = (n) =>
            query.authors.findFirst({ where: eq(authors.id, 1 + (n % 100)), with: { posts: true } })
        run('two', () => query.authors.findMany({ where: first, with: { posts: true, comments: true } }))
        run('three', () => query.authors.findMany({ where: first, with: { posts: { with: { replies: true } } } }))
      } else if (name === 'many') {
        run('offset', () => query.authors.findMany({ ...page, with: { posts: true } }))
        run('offset-flat', () => query.authors.findMany(page))
      }
    }
  return { name: prepared ? 'drizzle 0.45, prepared' : 'drizzle 0.45', operations, close: () => pool.end() }
}
