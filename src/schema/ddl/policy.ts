// Row level security: policies and roles.
import { quoteName } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { PolicyParts, RoleParts, TableParts } from '../source/parts.ts'
import { expression } from '../text/literal.ts'
import { qualified } from '../text/names.ts'

const modes = ['permissive', 'restrictive']
const commands = ['all', 'select', 'insert', 'update', 'delete']
const builtIn = ['public', 'current_role', 'current_user', 'session_user']

export function policySql(table: TableParts, policy: PolicyParts): string {
  const { name, using, withCheck } = policy
  return [
    `create policy ${quoteName(name)} on ${qualified(table.schema, table.name)}`,
    `as ${oneOf(modes, policy.as ?? 'permissive', name)} for ${oneOf(commands, policy.for ?? 'all', name)}`,
    `to ${rolesOf(policy).join(', ')}`,
    ...(using === undefined ? [] : [`using (${expression(using)})`]),
    ...(withCheck === undefined ? [] : [`with check (${expression(withCheck)})`]),
  ].join(' ')
}

function oneOf(words: readonly string[], given: string, policy: string): string {
  const word = given.toLowerCase()
  if (words.includes(word)) return word
  throw new UsageError(`The policy "${policy}" has another word for its option for or as than ${words.join(', ')}.`)
}

function rolesOf({ to = 'public' }: PolicyParts): string[] {
  const roles: readonly (string | RoleParts)[] = Array.isArray(to) ? to : [to]
  return roles.map((role) => {
    const name = typeof role === 'string' ? role : role.name
    return builtIn.includes(name) ? name : quoteName(name)
  })
}

export function roleSql({ name, createDb, createRole, inherit }: RoleParts): string {
  return [
    `create role ${quoteName(name)}`,
    ...(createDb === true ? ['createdb'] : []),
    ...(createRole === true ? ['createrole'] : []),
    ...(inherit === false ? ['noinherit'] : []),
  ].join(' ')
}
