// A folder of migrations as data: drizzle-kit's, with a journal (0.x) or a folder for each (1.0), or plain numbered files.
import { createHash } from 'node:crypto'
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MigrationError } from '../errors/index.ts'

export type FolderForm = 'journal' | 'folders' | 'files'

export interface Migration {
  /** `0001_init`, `20260102030405_init`: how reports and the record name it. */
  readonly name: string
  /** When it was made, in milliseconds: what drizzle-kit records. Of plain files their place, from 1. */
  readonly when: number
  /** SHA-256 of the file, as drizzle-kit records it. */
  readonly hash: string
  readonly statements: readonly string[]
}

export interface Folder {
  readonly form: FolderForm
  readonly path: string
  /** In the order in which they are applied. */
  readonly migrations: readonly Migration[]
}

/** Cuts a text into its statements. */
export type Split = (text: string) => string[]

/** What drizzle-kit writes is cut at its breakpoints first. */
const atBreakpoints =
  (split: Split): Split =>
  (text) =>
    text.split('--> statement-breakpoint').flatMap(split)

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

/** @throws {MigrationError} when there is no such folder, or it holds what is no migration. */
export async function readFolder(place: string | URL, split: Split): Promise<Folder> {
  const path = place instanceof URL ? fileURLToPath(place) : place
  let entries: string[]
  try {
    entries = (await readdir(path)).toSorted()
  } catch (cause) {
    throw new MigrationError(`The folder of migrations ${path} cannot be read.`, { cause })
  }
  const shouted = entries.find((entry) => /\.sql$/i.test(entry) && !entry.endsWith('.sql'))
  if (shouted !== undefined)
    throw new MigrationError(`${join(path, shouted)} would be passed over: end its name in .sql, in small letters.`, {
      outcome: 'not_started',
    })
  if (entries.includes('meta')) return { form: 'journal', path, migrations: await fromJournal(path, split) }
  const folders = entries.filter((entry) => timed.test(entry) && !entry.endsWith('.sql'))
  const files = entries.filter((entry) => entry.endsWith('.sql'))
  if (folders.length > 0 && files.length > 0)
    throw new MigrationError(`${path} holds folders of migrations and .sql files: put them into two folders.`)
  await refuseUntimed(
    path,
    entries.filter((entry) => !timed.test(entry)),
  )
  if (folders.length > 0) return { form: 'folders', path, migrations: await fromFolders(path, folders, split) }
  return { form: 'files', path, migrations: await fromFiles(path, files, split) }
}

/** The name of a folder of drizzle-kit 1.0 or Prisma Migrate; `0_init` is Prisma's for a database that existed before. */
const timed = /^(?:\d{14}|0)_/

/** @throws {MigrationError} for a migration that would be passed over. */
async function refuseUntimed(path: string, entries: readonly string[]): Promise<void> {
  for (const entry of entries) {
    const there = await access(join(path, entry, 'migration.sql')).then(
      () => true,
      () => false,
    )
    if (there)
      throw new MigrationError(
        `${join(path, entry)} holds a migration, and its name does not begin with a time, so its order is unknown: name it like 20260102030405_name.`,
      )
  }
}

interface Journal {
  readonly entries?: readonly { readonly tag?: unknown; readonly when?: unknown }[]
}

async function fromJournal(path: string, split: Split): Promise<Migration[]> {
  const file = join(path, 'meta', '_journal.json')
  let journal: Journal
  try {
    journal = JSON.parse(await readFile(file, 'utf8')) as Journal
  } catch (cause) {
    throw new MigrationError(`${file} is not a journal of drizzle-kit.`, { cause })
  }
  const migrations: Migration[] = []
  for (const { tag, when } of journal.entries ?? []) {
    if (typeof tag !== 'string' || typeof when !== 'number')
      throw new MigrationError(`${file} has an entry without a tag or a time.`)
    migrations.push(await read(join(path, `${tag}.sql`), tag, when, atBreakpoints(split)))
  }
  return migrations
}

async function fromFolders(path: string, folders: readonly string[], split: Split): Promise<Migration[]> {
  const migrations: Migration[] = []
  for (const name of folders) {
    const [, year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0] =
      /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(name) ?? []
    const when = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
    migrations.push(await read(join(path, name, 'migration.sql'), name, when, atBreakpoints(split)))
  }
  return migrations
}

async function fromFiles(path: string, files: readonly string[], split: Split): Promise<Migration[]> {
  const numbered = files.map((file) => ({ file, number: /^(\d+)/.exec(file)?.[1] }))
  const odd = numbered.find(({ number }) => number === undefined)
  if (odd !== undefined)
    throw new MigrationError(
      `${odd.file} has no number at the start of its name, so its order is unknown: name it like 0001_name.sql.`,
    )
  const ordered = numbered.toSorted((a, b) => Number(a.number) - Number(b.number) || (a.file < b.file ? -1 : 1))
  const migrations: Migration[] = []
  for (const [index, { file }] of ordered.entries())
    migrations.push(await read(join(path, file), file.slice(0, -'.sql'.length), index + 1, split))
  return migrations
}

async function read(file: string, name: string, when: number, split: Split): Promise<Migration> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new MigrationError(`The migration ${file} cannot be read.`, { cause })
  }
  return {
    name,
    when,
    hash: digest(text),
    statements: split(text),
  }
}
