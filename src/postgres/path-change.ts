// What a statement makes of search_path and role, and of the settings by which literals are read, by its text and values. Asked only
// about texts that may change them; what it does not understand may be anything.
import type { Compiled } from '../sql/compiled.ts'
import { type ReadChanges, readValue } from './reading.ts'
import { readsBy } from './verdict.ts'

export interface PathChange {
  /** Null: what it was when the session began. */
  readonly path?: string | null | undefined
  readonly role?: string | null | undefined
  readonly read?: ReadChanges | undefined
  /** Until the end of the transaction. */
  readonly local: boolean
}

/** As the dialect writes the settings of a scope. */
const settings = /^select set_config\(\$1, \$2, (true|false)\)(?:, set_config\(\$\d+, \$\d+, \1\))*$/
const set =
  /^\s*set\s+(?:(session|local)\s+)?(?:(search_path)\s*(?:=|to\b)|(role)\b\s*(?:=|to\b)?|(schema)\b)\s*([^;]+?)\s*;?\s*$/i
/** As the dialect takes such a setting back. */
const takesBack = /^(?:RESET|(SET LOCAL)) "(\w+)"(?: TO DEFAULT)?$/
const setRead = /^\s*set\s+(?:(session|local)\s+)?(?:(time\s+zone)\s|"?(\w+)"?\s*(?:=|to\b))\s*([^;]+?)\s*;?\s*$/i
const resetRead = /^\s*reset\s+(?:(time\s+zone)|"?(\w+)"?)\s*;?\s*$/i
const setsOne =
  /^\s*select\s+(?:pg_catalog\.)?set_config\s*\(\s*'(\w+)'\s*,\s*(?:'([^']*)'|\$1)\s*,\s*(true|false)\s*\)\s*;?\s*$/i
const list = /^\s*(?:[a-z_][\w$]*|"[^",]+")(?:\s*,\s*(?:[a-z_][\w$]*|"[^",]+"))*\s*$/

/** Of texts without parameters, which say the same each time. */
const known = new WeakMap<Compiled, { readonly change: PathChange | null }>()

/** Null: nothing is known of it. */
export function pathChange(stmt: Compiled, params: readonly unknown[]): PathChange | null {
  if (params.length > 0) return read(stmt.text, params)
  let found = known.get(stmt)
  if (found === undefined) known.set(stmt, (found = { change: read(stmt.text, params) }))
  return found.change
}

function read(text: string, params: readonly unknown[]): PathChange | null {
  const own = settings.exec(text)
  if (own !== null) return ofSettings(params, own[1] === 'true')
  const back = takesBack.exec(text)
  if (back !== null) return takenBack(String(back[2]).toLowerCase(), back[1] !== undefined)
  const reading = readIn(text, params)
  if (reading !== null) return reading
  const found = set.exec(text)
  if (found === null) return null
  const [, scope = '', , role, schema, value = ''] = found
  const local = scope.toLowerCase() === 'local'
  if (role !== undefined) return /^[a-z_]\w*$/.test(value) ? { role: value, local } : null
  const path = pathOf(schema === undefined ? value : value.replace(/^'([^']+)'$/, '"$1"'))
  return path === null ? null : { path, local }
}

function takenBack(name: string, local: boolean): PathChange | null {
  if (readsBy(name)) return { read: { [name]: null }, local }
  if (name === 'role') return { role: null, local }
  return name === 'search_path' ? { path: null, local } : null
}

/** Of a text that changes one of the settings by which literals are read. */
function readIn(text: string, params: readonly unknown[]): PathChange | null {
  const reset = resetRead.exec(text)
  if (reset !== null) {
    const name = reset[1] === undefined ? String(reset[2]).toLowerCase() : 'timezone'
    return readsBy(name) ? { read: { [name]: null }, local: false } : null
  }
  const one = setsOne.exec(text)
  if (one !== null) {
    const [, name = '', value = String(params[0]), local = ''] = one
    return readsBy(name) ? ofOne(name, value, local.toLowerCase() === 'true') : null
  }
  const [, scope = '', zone, name = zone === undefined ? '' : 'timezone', value = ''] = setRead.exec(text) ?? []
  if (!readsBy(name)) return null
  const local = scope.toLowerCase() === 'local'
  if (/^(?:default|local)$/i.test(value)) return { read: { [name.toLowerCase()]: null }, local }
  return ofOne(name, value.replace(/^'([^']*)'$/, '$1'), local)
}

function ofOne(name: string, value: string, local: boolean): PathChange {
  return { read: { [name.toLowerCase()]: readValue(name, value) }, local }
}

function ofSettings(params: readonly unknown[], local: boolean): PathChange | null {
  let path: string | undefined
  let role: string | undefined
  let changes: Record<string, string | undefined> | undefined
  for (let i = 0; i + 1 < params.length; i += 2) {
    const name = String(params[i]).toLowerCase()
    const value = String(params[i + 1])
    if (name === 'role') role = value
    else if (name === 'session_authorization') return null
    else if (name === 'search_path') {
      const names = pathOf(value)
      if (names === null) return null
      path = names
    } else if (readsBy(name)) (changes ??= {})[name] = readValue(name, value)
  }
  return { path, role, read: changes, local }
}

const mostSaid = 1_000
const said = new Map<string, string>()

/** What the server says its path is, in the spelling of `pathChange`. */
export function pathSaid(value: string): string {
  let path = said.get(value)
  if (path === undefined) {
    path = pathOf(value) ?? value
    if (said.size >= mostSaid) said.clear()
    said.set(value, path)
  }
  return path
}

/** One spelling of a list of schemas; null for what is none, or is said in another way. */
function pathOf(value: string): string | null {
  if (value === '') return '""'
  if (!list.test(value) || /^\s*default\s*$/i.test(value)) return null
  return value
    .split(',')
    .map((schema) => schema.trim().replace(/^"([a-z_][a-z0-9_]*)"$/, '$1'))
    .join(', ')
}
