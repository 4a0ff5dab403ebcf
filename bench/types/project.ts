// Writes the program that `bench/types.ts` has checked, twice: tables with 13 columns and three queries on each, by models
// and by Drizzle alone. Both read the same members of what they get. One file for each table, one for its queries.
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export type Flavour = 'drizzle' | 'genever'

export interface ProjectOptions {
  /** Of the repository, built. */
  readonly root: string
  /** Where the version of Drizzle is installed. */
  readonly drizzle: string
  readonly tables: number
}

/** Makes `directory`, ready for `tsc -p`. */
export async function writeProject(directory: string, flavour: Flavour, options: ProjectOptions): Promise<void> {
  const { root, drizzle, tables } = options
  await mkdir(join(directory, 'node_modules', '@types'), { recursive: true })
  await mkdir(join(directory, 'src'))
  const installed = join(directory, 'node_modules')
  // A copy, so that it finds the Drizzle beside it and not the one of the repository.
  await mkdir(join(installed, 'genever'))
  for (const part of ['dist', 'package.json'])
    await cp(join(root, part), join(installed, 'genever', part), { recursive: true })
  await symlink(drizzle, join(installed, 'drizzle-orm'))
  for (const types of ['node', 'pg'])
    await symlink(join(root, 'node_modules', '@types', types), join(installed, '@types', types))
  const write = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text)
  await write('package.json', '{ "type": "module" }')
  await write('tsconfig.json', JSON.stringify(config))
  await write('src/db.ts', flavour === 'genever' ? models.db : bare.db)
  for (let n = 0; n < tables; n++) {
    await write(`src/table${n}.ts`, tableOf(n))
    const { files } = flavour === 'genever' ? models : bare
    for (const [name, text] of Object.entries(files(n))) await write(`src/${name}`, text)
  }
}

const config = {
  compilerOptions: {
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  },
  include: ['src'],
}

/** Each refers to the one before it. */
function tableOf(n: number): string {
  const parent = n === 0 ? null : n - 1
  return `import { bigint, boolean, doublePrecision, integer, jsonb, numeric, pgTable, serial, text, timestamp, uuid, varchar } from 'drizzle-orm/pg-core'
${parent === null ? '' : `import { table${parent} } from './table${parent}.ts'\n`}
export const table${n} = pgTable('table${n}', {
  id: serial().primaryKey(),
  name${n}: text().notNull(),
  title: varchar({ length: 100 }).notNull(),
  parentId: integer('parent_id')${parent === null ? '' : `.references(() => table${parent}.id)`},
  count: integer().notNull().default(0),
  big: bigint({ mode: 'number' }),
  price: numeric(),
  ratio: doublePrecision(),
  active: boolean().notNull().default(true),
  key: uuid().defaultRandom(),
  data: jsonb().$type<{ tags: string[]; level${n}: number }>(),
  createdAt: timestamp('created_at').notNull().defaultNow(),
  updatedAt: timestamp('updated_at', { mode: 'string' }),
})
`
}

interface Writer {
  readonly db: string
  readonly files: (n: number) => Readonly<Record<string, string>>
}

/** What both do with a row. */
const use = (n: number, row: string): string =>
  `const text${row}: string = ${row}.name${n} + ${row}.createdAt.toISOString() + (${row}.data?.level${n} ?? 0)`

const models: Writer = {
  db: `import { createDb } from 'genever'
export const db = createDb()
`,
  files: (n) => ({
    [`model${n}.ts`]: `import { Model } from 'genever/models'
import { db } from './db.ts'
import { table${n} } from './table${n}.ts'

export class Model${n} extends Model(db, table${n}) {
  get label(): string {
    return this.name${n}
  }
}
`,
    [`queries${n}.ts`]: `import { and, eq, gt } from 'drizzle-orm'
import { Model${n} } from './model${n}.ts'
${n === 0 ? '' : `import { Model${n - 1} } from './model${n - 1}.ts'\n`}
export async function queries${n}(name: string): Promise<string[]> {
  const rows = await Model${n}.where(and(eq(Model${n}.c.name${n}, name), gt(Model${n}.c.count, 1))).orderBy(Model${n}.c.createdAt).limit(10)
  const made = await Model${n}.create({ name${n}: name, title: name, big: 1, data: { tags: [], level${n}: 1 } })
  ${models3(n)}
  return rows.map((row) => {
    ${use(n, 'row')}
    return textrow
  }).concat([made.name${n}, made.label, third])
}
`,
  }),
}

function models3(n: number): string {
  if (n % 2 === 0)
    return `const changed = await Model${n}.update({ count: 2, title: name }).where(eq(Model${n}.c.id, 1))
  const third = changed.toFixed()`
  return `const joined = await Model${n}.query().load(Model${n}.load({ parent: Model${n - 1} })).where(eq(Model${n}.c.active, true))
  const third: string = joined[0]?.name${n} + (joined[0]?.parent?.name${n - 1} ?? '')`
}

const bare: Writer = {
  db: `import { drizzle } from 'drizzle-orm/node-postgres'
export const db = drizzle('postgres://localhost')
`,
  files: (n) => ({
    [`queries${n}.ts`]: `import { and, eq, gt } from 'drizzle-orm'
import { db } from './db.ts'
import { table${n} } from './table${n}.ts'
${n === 0 ? '' : `import { table${n - 1} } from './table${n - 1}.ts'\n`}
export async function queries${n}(name: string): Promise<string[]> {
  const rows = await db.select().from(table${n}).where(and(eq(table${n}.name${n}, name), gt(table${n}.count, 1))).orderBy(table${n}.createdAt).limit(10)
  const [made] = await db.insert(table${n}).values({ name${n}: name, title: name, big: 1, data: { tags: [], level${n}: 1 } }).returning()
  ${bare3(n)}
  return rows.map((row) => {
    ${use(n, 'row')}
    return textrow
  }).concat([made?.name${n} ?? '', third])
}
`,
  }),
}

function bare3(n: number): string {
  if (n % 2 === 0)
    return `const changed = await db.update(table${n}).set({ count: 2, title: name }).where(eq(table${n}.id, 1))
  const third = (changed.rowCount ?? 0).toFixed()`
  return `const joined = await db.select().from(table${n}).leftJoin(table${n - 1}, eq(table${n}.parentId, table${n - 1}.id)).where(eq(table${n}.active, true))
  const third: string = joined[0]?.table${n}.name${n} + (joined[0]?.table${n - 1}?.name${n - 1} ?? '')`
}
