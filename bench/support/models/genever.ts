// Genever's models: queries written anew for each call and baked, and the statement of `Model.get` baked on the same engine.
// `create` gives a whole instance, where others are asked for the key alone.
import { eq, gt } from 'drizzle-orm'
import { createDb, type EngineOptions } from 'genever'
import { many, Model } from 'genever/models'
import { authors, notes, posts } from './tables.ts'
import type { ModelSides, Operations } from './workloads.ts'

export async function genever(url: string, max: number, options: EngineOptions = {}): Promise<ModelSides> {
  const db = await createDb(url, { ...options, pool: { max } }).open()
  class Author extends Model(db, authors) {}
  class Post extends Model(db, posts) {}
  class Note extends Model(db, notes) {}
  const withPosts = Author.query().load(Author.load({ posts: many(Post) }))
  const separately = Author.query().load(Author.load({ posts: many(Post) }), { strategy: 'select-in' })
  const operations: Operations = {
    get: (id) => Post.get(id),
    page: (after) => Post.where(gt(Post.c.id, after)).orderBy(Post.c.id).limit(100).all(),
    author: (id) => withPosts.where({ id }).first(),
    create: async (values) => (await Note.create(values)).id,
    update: (id, score) => Post.update({ score }).where({ id }).apply(),
    async createMany(rows) {
      const made = await Note.createMany(rows)
      return made.map(({ id }) => id)
    },
  }
  const baked = db.bake<object, [id: number]>(
    'select "id", "author_id" as "authorId", "title", "body", "published", "score", "created_at" as "createdAt" from "posts" where "id" = $1',
  )
  const bakedPage = db.bake((p: { after: number }) => Post.where(gt(Post.c.id, p.after)).orderBy(Post.c.id).limit(100))
  const bakedAuthor = db.bake((p: { id: number }) => withPosts.where(eq(Author.c.id, p.id)))
  const bakedQueries: Partial<Operations> = {
    page: (after) => bakedPage.all({ after }),
    author: (id) => bakedAuthor.first({ id }),
  }
  const some = new Map<number, Post>()
  for (const post of await Post.where(gt(Post.c.id, 9_000))) some.set(post.id, post)
  const instance = async (id: number, score: number): Promise<void> => {
    await some.get(id)?.update({ score })
  }
  return {
    sides: [
      { name: 'genever', kind: 'genever', operations },
      { name: 'genever, baked', kind: 'genever', operations: bakedQueries },
      {
        name: "genever, 'select-in'",
        kind: 'genever',
        operations: { author: (id) => separately.where({ id }).first() },
      },
      { name: 'genever, of an instance', kind: 'genever', operations: { update: instance } },
      { name: baseOfGet, kind: 'engine', operations: { get: (id) => baked.first([id]) } },
    ],
    close: () => db.close(),
  }
}

export const baseOfGet = 'genever, baked SQL'
