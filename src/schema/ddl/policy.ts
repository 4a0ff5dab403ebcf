// Row level security: policies and roles.
import { quoteName } from '../../builder/drizzle/core/render.ts'
import type { PolicyParts, RoleParts, TableParts } from '../source/parts.ts'
import { expression } from '../text/literal.ts'
import { keyword, qualified } from '../text/names.ts'

const modes = ['permissive', 'restrictive']
const commands = ['all', 'select', 'insert', 'update', 'delete']
const builtIn = ['public', 'current_role', 'current_user', 'session_user']

export function policySql(table: TableParts, policy: PolicyParts): string {
  const { name, using, withCheck } = policy
  return [
    `create policy ${quoteName(name)} on ${qualified(table.schema, table.name)}`,
    `as ${keyword(modes, policy.as ?? 'permissive', `The option as of the policy "${name}"`)}`,
    `for ${keyword(commands, policy.for ?? 'all', `The option for of the policy "${name}"`)}`,
    `to ${rolesOf(policy).join(', ')}`,
    ...(using === undefined ? [] : [`using (${expression(using)})`]),
    ...(withCheck === undefined ? [] : [`with check (${expression(withCheck)})`]),
  ].join(' ')
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
