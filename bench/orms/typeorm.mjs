// TypeORM: entity schemas, the manager of a data source.
import { DataSource, EntitySchema, MoreThan } from 'typeorm'

// oxlint-disable typescript/no-extraneous-class -- rows become instances of them
class Author {}
class Post {}
class Note {}

const columns = {
  authorId: { type: 'int', name: 'author_id' },
  title: { type: 'text' },
  body: { type: 'text' },
  published: { type: 'boolean' },
  score: { type: 'int' },
  createdAt: { type: 'timestamptz', name: 'created_at' },
}
const entities = [
  new EntitySchema({
    name: 'Author',
    target: Author,
    tableName: 'authors',
    columns: { id: { type: 'int', primary: true }, name: { type: 'text' }, email: { type: 'text' } },
    relations: { posts: { type: 'one-to-many', target: 'Post', inverseSide: 'author' } },
  }),
  new EntitySchema({
    name: 'Post',
    target: Post,
    tableName: 'posts',
    columns: { id: { type: 'int', primary: true }, ...columns },
    relations: {
      author: { type: 'many-to-one', target: 'Author', inverseSide: 'posts', joinColumn: { name: 'author_id' } },
    },
  }),
  new EntitySchema({
    name: 'Note',
    target: Note,
    tableName: 'notes',
    columns: { id: { type: 'int', primary: true, generated: 'identity' }, ...columns },
  }),
]

export async function open(url, max) {
  const source = await new DataSource({ type: 'postgres', url, entities, poolSize: max }).initialize()
  const { manager } = source
  const operations = {
    get: (id) => manager.findOneBy(Post, { id }),
    page: (after) => manager.find(Post, { where: { id: MoreThan(after) }, order: { id: 'ASC' }, take: 100 }),
    author: (id) => manager.findOne(Author, { where: { id }, relations: { posts: true } }),
    create: async (values) => (await manager.insert(Note, { ...values })).identifiers[0].id,
    update: (id, score) => manager.update(Post, { id }, { score }),
    async createMany(rows) {
      const { identifiers } = await manager.insert(
        Note,
        rows.map((row) => ({ ...row })),
      )
      return identifiers.map(({ id }) => id)
    },
  }
  return { sides: [{ name: '', operations }], close: () => source.destroy() }
}
