// MikroORM: entity schemas, and a fork of the entity manager for each operation, as a request would have.
import { EntitySchema, MikroORM } from '@mikro-orm/postgresql'

// oxlint-disable typescript/no-extraneous-class -- rows become instances of them
class Author {}
class Post {}
class Note {}

const columns = {
  title: { type: 'text' },
  body: { type: 'text' },
  published: { type: 'boolean' },
  score: { type: 'integer' },
  createdAt: { type: 'Date', fieldName: 'created_at', columnType: 'timestamptz' },
}
const entities = [
  new EntitySchema({
    class: Author,
    tableName: 'authors',
    properties: {
      id: { type: 'integer', primary: true },
      name: { type: 'text' },
      email: { type: 'text' },
      posts: { kind: '1:m', entity: () => Post, mappedBy: 'author' },
    },
  }),
  new EntitySchema({
    class: Post,
    tableName: 'posts',
    properties: {
      id: { type: 'integer', primary: true },
      ...columns,
      author: { kind: 'm:1', entity: () => Author, fieldName: 'author_id', inversedBy: 'posts' },
    },
  }),
  new EntitySchema({
    class: Note,
    tableName: 'notes',
    properties: {
      id: { type: 'integer', primary: true, autoincrement: true },
      authorId: { type: 'integer', fieldName: 'author_id' },
      ...columns,
    },
  }),
]

export async function open(url, max) {
  const orm = await MikroORM.init({ entities, clientUrl: url, pool: { min: 0, max }, debug: false })
  const fork = () => orm.em.fork()
  const operations = {
    get: (id) => fork().findOne(Post, { id }),
    page: (after) => fork().find(Post, { id: { $gt: after } }, { orderBy: { id: 'asc' }, limit: 100 }),
    author: (id) => fork().findOne(Author, { id }, { populate: ['posts'] }),
    create: (values) => fork().insert(Note, { ...values }),
    update: (id, score) => fork().nativeUpdate(Post, { id }, { score }),
    // Of entities, because it gives the first key alone for objects.
    createMany(rows) {
      const manager = fork()
      return manager.insertMany(rows.map((row) => manager.create(Note, { ...row })))
    },
  }
  return { sides: [{ name: '', operations }], close: () => orm.close(true) }
}
