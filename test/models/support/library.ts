/** A small world for queries and loaders: companies, teams in them, users in teams, posts of users. */

import type { Db } from 'genever'
import { Model } from 'genever/models'
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
    static named(name: string) {
      return this.where({ name })
    }
  }
  class Post extends Model(db, tables.posts) {}
  return { db, ...tables, Company, Team, User, Post }
}

/** Two companies, three teams (one empty), four users (one without a team), and posts of the first two. */
export async function filled(driver: TestedDriver, shared?: Db) {
  const world = await library(driver, shared)
  const { Company, Team, User, Post } = world
  const acme = await Company.create({ name: 'Acme' })
  const other = await Company.create({ name: 'Other' })
  const red = await Team.create({ name: 'red', companyId: acme.id })
  const blue = await Team.create({ name: 'blue', companyId: other.id })
  const empty = await Team.create({ name: 'empty' })
  const ann = await User.create({ name: 'Ann', age: 30, teamId: red.id })
  const bob = await User.create({ name: 'Bob', age: 20, teamId: red.id, bossId: ann.id })
  const cid = await User.create({ name: 'Cid', age: 40, teamId: blue.id, bossId: ann.id })
  const dan = await User.create({ name: 'Dan' })
  await Post.create({ title: 'a1', userId: ann.id })
  await Post.create({ title: 'a2', userId: ann.id })
  await Post.create({ title: 'b1', userId: bob.id })
  return { ...world, acme, other, red, blue, empty, ann, bob, cid, dan }
}
