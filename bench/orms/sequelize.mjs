// Sequelize: instances, not raw rows.
import { DataTypes, Op, Sequelize } from 'sequelize'

const columns = {
  authorId: { type: DataTypes.INTEGER, field: 'author_id' },
  title: DataTypes.TEXT,
  body: DataTypes.TEXT,
  published: DataTypes.BOOLEAN,
  score: DataTypes.INTEGER,
  createdAt: { type: DataTypes.DATE, field: 'created_at' },
}

export async function open(url, max) {
  const sequelize = new Sequelize(url, { logging: false, pool: { max, min: 0 } })
  const define = (name, tableName, attributes) => sequelize.define(name, attributes, { tableName, timestamps: false })
  const id = { type: DataTypes.INTEGER, primaryKey: true }
  const Author = define('Author', 'authors', { id, name: DataTypes.TEXT, email: DataTypes.TEXT })
  const Post = define('Post', 'posts', { id, ...columns })
  const Note = define('Note', 'notes', { id: { ...id, autoIncrement: true }, ...columns })
  Author.hasMany(Post, { foreignKey: 'authorId', as: 'posts' })
  const operations = {
    get: (key) => Post.findByPk(key),
    page: (after) => Post.findAll({ where: { id: { [Op.gt]: after } }, order: [['id', 'ASC']], limit: 100 }),
    author: (key) => Author.findByPk(key, { include: 'posts' }),
    create: async (values) => (await Note.create({ ...values }, { returning: ['id'] })).id,
    update: (key, score) => Post.update({ score }, { where: { id: key } }),
    async createMany(rows) {
      const made = await Note.bulkCreate(
        rows.map((row) => ({ ...row })),
        { returning: ['id'] },
      )
      return made.map((note) => note.id)
    },
  }
  return { sides: [{ name: '', operations }], close: () => sequelize.close() }
}
