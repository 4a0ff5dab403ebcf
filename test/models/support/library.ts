/** A small world for queries and loaders: companies, teams in them, users in teams, posts of users. */

import type { Db } from 'genever'
import { Model, type ModelQuery } from 'genever/models'
import { type AnyPgColumn, integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { serial } from 'drizzle-orm/pg-core'
import type { TestedDriver } from '../../support/matrix.ts'

// oxlint-disable typescript/explicit-function-return-type, typescript/explicit-module-boundary-types -- the types are what the models infer
async function tablesOf(driver: TestedDriver) {
  const companies = pgTable(await driver.table('id serial primary key, name text not null'), {
    id: serial().primaryKey(),
    name: text().notNull(),
  })
  const teams = pgTable(await driver.table('id serial primary key, name text not null, company_id int'), {
    id: serial().primaryKey(),
    name: text().notNull(),
    companyId: integer('company_id').references(() => companies.id),
  })
  const users = pgTable(
    await driver.table(
      'id serial primary key, name text not null, age int, team_id int, boss_id int, joined timestamp default now()',
    ),
    {
      id: serial().primaryKey(),
      name: text().notNull(),
      age: integer(),
      teamId: integer('team_id').references(() => teams.id),
      bossId: integer('boss_id').references((): AnyPgColumn => users.id),
      joined: timestamp().defaultNow(),
    },
  )
  const posts = pgTable(await driver.table('id serial primary key, title text not null, user_id int not null'), {
    id: serial().primaryKey(),
    title: text().notNull(),
    userId: integer('user_id')
      .notNull()
      .references(() => users.id),
  })
  return { companies, teams, users, posts }
}

export async function library(driver: TestedDriver, shared?: Db) {
  const db = shared ?? (await driver.db())
  const tables = await tablesOf(driver)
  class Company extends Model(db, tables.companies) {}
  class Team extends Model(db, tables.teams) {
    shout(): string {
      return this.name.toUpperCase()
    }
  }
  class User extends Model(db, tables.users) {
    greet(): string {
      return `hi ${this.name}`
    }
    static named(name: string): ModelQuery<InstanceType<typeof this>> {
      return this.where({ name }) as ModelQuery<InstanceType<typeof this>>
    }
  }
  class Post extends Model(db, tables.posts) {}
  return { db, ...tables, Company, Team, User, Post }
}

/** Two companies, three teams (one empty), four users (one without a team), and posts of the first two. */
export async function filled(driver: TestedDriver, shared?: Db) {
  const world = await library(driver, shared)
  const { Company, Team, User, Post } = world
  const [acme, other] = await Company.createMany([{ name: 'Acme' }, { name: 'Other' }])
  const [red, blue, empty] = await Team.createMany([
    { name: 'red', companyId: acme!.id },
    { name: 'blue', companyId: other!.id },
    { name: 'empty' },
  ])
  const [ann, bob, cid, dan] = await User.createMany([
    { name: 'Ann', age: 30, teamId: red!.id },
    { name: 'Bob', age: 20, teamId: red!.id, bossId: 1 },
    { name: 'Cid', age: 40, teamId: blue!.id, bossId: 1 },
    { name: 'Dan' },
  ])
  await Post.createMany([
    { title: 'a1', userId: ann!.id },
    { title: 'a2', userId: ann!.id },
    { title: 'b1', userId: bob!.id },
  ])
  return {
    ...world,
    acme: acme!,
    other: other!,
    red: red!,
    blue: blue!,
    empty: empty!,
    ann: ann!,
    bob: bob!,
    cid: cid!,
    dan: dan!,
  }
}
