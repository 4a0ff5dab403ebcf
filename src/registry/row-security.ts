// Row-level security: the role and the claims of a request as settings, from one typed function.
import type { Settings } from '../engine/context/frame.ts'
import { TenantError, UsageError } from '../errors/index.ts'
import { settingName, settingsOf } from '../sql/settings.ts'
import { type Checks, describeType, isPlain, readOptions } from '../util/options.ts'

/** A value about a request that a policy can read. There, NULL is an empty text, and a list is JSON. */
export type Claim = string | number | bigint | boolean | null | readonly (string | number)[]

/**
 * Options of `rowSecurity()`.
 *
 * @typeParam C The claims.
 */
export interface RowSecurityOptions<C> {
  /** The role of all statements, or a function of the claims. Default: that of the connection. */
  readonly role?: string | ((claims: C) => string) | undefined
  /**
   * The settings that hold the claims. `{ prefix: 'app.' }`: a setting for each claim, named by its key. `{ json:
   * 'request.jwt.claims' }`: one setting with all of them as JSON. An object of names: the setting for each key.
   */
  readonly claims: { readonly prefix: string } | { readonly json: string } | { readonly [K in keyof C]-?: string }
}

const checks: Checks<{ role: unknown; claims: unknown }> = { role: () => undefined, claims: () => undefined }

/**
 * Makes a function that turns claims into the settings of a tenant. It is for `tenancy: { settings }`, `scope({ settings })`
 * and `settingsForRequest`. Policies read them by `nullif(current_setting('app.tenant', true), '')`.
 *
 * It does not confine code that may run any SQL, because that can `reset role`. Only a separate login for each tenant does.
 *
 * @throws {UsageError} for invalid options.
 * @throws {TenantError} from the function, for a claim that is missing, for one that the options do not name, and for a role
 *   that is not a valid name.
 */
export function rowSecurity<C extends { readonly [K in keyof C]: Claim | undefined }>(
  options: RowSecurityOptions<C>,
): (claims: C) => Settings {
  const { role, claims: where } = readOptions<{ role: unknown; claims: unknown }>(options, checks, 'rowSecurity()')
  if (role !== undefined && typeof role !== 'function') checkRole(role)
  const place = placeOf(where)
  return (claims) => {
    if (!isPlain(claims)) throw new TenantError(`Claims are an object, not ${describeType(claims)}.`)
    const given = Object.entries(claims)
    for (const [key, value] of given) checkClaim(key, value)
    const settings = place(given)
    if (role === undefined) return settings
    const name: unknown = typeof role === 'function' ? (role as (claims: C) => unknown)(claims) : role
    checkRole(name)
    return settingsOf({ ...settings, role: name }) as Settings
  }
}

/** Of entries of claims, their settings. */
type PlaceOfClaims = (claims: readonly (readonly [string, unknown])[]) => Settings

function placeOf(where: unknown): PlaceOfClaims {
  if (!isPlain(where))
    throw new UsageError('rowSecurity() needs claims: { prefix }, { json }, or the name of the setting for each claim.')
  const names = Object.entries(where)
  for (const [key, name] of names)
    if (typeof name !== 'string')
      throw new UsageError(`claims.${key} of rowSecurity() is ${describeType(name)}, not a name.`)
  const only = names.length === 1 ? names[0] : undefined
  if (only?.[0] === 'json') {
    const name = settingName(only[1] as string)
    return (claims) => settingsOf({ [name]: JSON.stringify(Object.fromEntries(claims), bigAsText) }) as Settings
  }
  if (only?.[0] === 'prefix') {
    const prefix = only[1] as string
    settingName(`${prefix}x`)
    if (!prefix.includes('.'))
      throw new UsageError('The prefix of claims has a dot, such as "app.": others are settings of PostgreSQL.')
    return (claims) =>
      settingsOf(Object.fromEntries(claims.map(([key, value]) => [prefix + key, textOf(value as Claim)]))) ?? {}
  }
  const byKey = new Map(names.map(([key, name]) => [key, settingName(name as string)]))
  return (claims) => {
    for (const key of byKey.keys())
      if (!claims.some(([given]) => given === key))
        throw new TenantError(
          `The claim ${JSON.stringify(key)} is missing, for which rowSecurity({ claims }) has a setting. Where it has no value, give null.`,
        )
    return (
      settingsOf(Object.fromEntries(claims.map(([key, value]) => [settingOf(byKey, key), textOf(value as Claim)]))) ??
      {}
    )
  }
}

function settingOf(byKey: ReadonlyMap<string, string>, key: string): string {
  const name = byKey.get(key)
  if (name === undefined)
    throw new TenantError(
      `The claim ${JSON.stringify(key)} has no setting in rowSecurity({ claims }). Name one there, or leave the claim out.`,
    )
  return name
}

function checkClaim(key: string, value: unknown): void {
  const simple = value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value)
  if (value === undefined)
    throw new TenantError(`The claim ${JSON.stringify(key)} is undefined. Where it has no value, give null.`)
  if (!simple && !Array.isArray(value))
    throw new TenantError(
      `The claim ${JSON.stringify(key)} is ${describeType(value)}: claims are text, numbers, booleans, null and lists.`,
    )
}

/** `none` stands for the role that has connected. */
function checkRole(role: unknown): void {
  if (typeof role !== 'string' || role === '' || role === 'none')
    throw new TenantError(
      `The role of rowSecurity() must be a name; it is ${role === 'none' ? '"none", which resets it' : role === '' ? 'empty' : describeType(role)}.`,
    )
}

function textOf(value: Claim): string {
  if (value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const bigAsText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
