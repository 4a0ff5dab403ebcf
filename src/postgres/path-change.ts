// What a statement makes of search_path and role, read from its text and values. Asked only about texts that may change them;
// what it does not understand may be anything.
import type { Compiled } from '../sql/compiled.ts'

export interface PathChange {
  /** Null: what it was when the session began. */
  readonly path?: string | null | undefined
  readonly role?: string | null | undefined
  /** Until the end of the transaction. */
  readonly local: boolean
}

/** As the dialect writes the settings of a scope. */
const settings = /^select set_config\(\$1, \$2, (true|false)\)(?:, set_config\(\$\d+, \$\d+, \1\))*$/
const set =
  /^\s*set\s+(?:(session|local)\s+)?(?:(search_path)\s*(?:=|to\b)|(role)\b\s*(?:=|to\b)?|(schema)\b)\s*([^;]+?)\s*;?\s*$/i
/** As the dialect takes such a setting back. */
const takesBack = /^(?:RESET|(SET LOCAL)) "(?:(search_path)|role)"(?: TO DEFAULT)?$/
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
  if (back !== null) return { [back[2] === undefined ? 'role' : 'path']: null, local: back[1] !== undefined }
  const found = set.exec(text)
  if (found === null) return null
  const [, scope = '', , role, schema, value = ''] = found
  const local = scope.toLowerCase() === 'local'
  if (role !== undefined) return /^[a-z_]\w*$/.test(value) ? { role: value, local } : null
  const path = pathOf(schema === undefined ? value : value.replace(/^'([^']+)'$/, '"$1"'))
  return path === null ? null : { path, local }
}

function ofSettings(params: readonly unknown[], local: boolean): PathChange | null {
  let path: string | undefined
  let role: string | undefined
  for (let i = 0; i + 1 < params.length; i += 2) {
    const name = String(params[i]).toLowerCase()
    const value = String(params[i + 1])
    if (name === 'role') role = value
    else if (name === 'session_authorization') return null
    else if (name === 'search_path') {
      const names = pathOf(value)
      if (names === null) return null
      path = names
    }
  }
  return { path, role, local }
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
