/** A table of people with JSON of several kinds, and models on it. */

import {
  bigint,
  boolean,
  integer,
  json as jsonColumn,
  jsonb,
  pgTable,
  serial,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import type { Db, StatementEvent } from 'genever'
import { json, Model } from 'genever/models'
import { onTestFinished } from 'vitest'
import { hear } from '../../support/events.ts'
import type { TestedDriver } from '../../support/matrix.ts'

const ddl = `
  id serial primary key, name text not null, email text unique, visits integer not null default 0, big bigint,
  active boolean not null default true, tags text[], created_at timestamp not null default now(),
  shout text generated always as (upper(name)) stored, profile jsonb not null default '{}', extra json`

// oxlint-disable typescript/explicit-function-return-type, typescript/explicit-module-boundary-types -- the types are what the models infer
export function peopleTable(name: string) {
  return pgTable(name, {
    id: serial().primaryKey(),
    name: text().notNull(),
    email: text().unique(),
    visits: integer().notNull().default(0),
    big: bigint({ mode: 'bigint' }),
    active: boolean().notNull().default(true),
    tags: text().array(),
    createdAt: timestamp('created_at').notNull().defaultNow(),
    shout: text().generatedAlwaysAs('upper(name)'),
    profile: jsonb().notNull().default({}),
    extra: jsonColumn(),
  })
}

export interface Settings {
  theme?: string
  font?: { size?: number; face?: string }
}

let engines = 0

export async function people(driver: TestedDriver, shared?: Db) {
  const engine = `people_${++engines}`
  const db = shared ?? (await driver.db({ name: engine }))
  const name = await driver.table(ddl)
  const table = peopleTable(name)
  class Person extends Model(db, table, {
    json: {
      profile: {
        nickname: json.string(),
        age: json.integer({ default: 0 }),
        height: json.number(),
        admin: json.boolean(),
        born: json.dateTime(),
        settings: json.object<Settings>(),
        cities: json.array<string>(),
      },
      extra: { note: json.string() },
    },
  }) {
    greet(): string {
      return `hi ${this.name}`
    }
  }
  /** A look at the row from outside of the model. */
  const stored = (id: number) => db.one<Record<string, unknown>>(`select * from ${name} where id = $1`, [id])
  /** Statements from now on. */
  const listen = (): readonly StatementEvent[] => {
    const heard = hear(engine)
    onTestFinished(() => heard[Symbol.dispose]())
    return heard.statements
  }
  return { db, name, table, Person, stored, listen }
}
