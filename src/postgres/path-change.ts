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

/** Null: nothing is known of it. */
export function pathChange({ text }: Compiled, params: readonly unknown[]): PathChange | null {
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
      const read = value === '' ? '""' : pathOf(value)
      if (read === null) return null
      path = read
    }
  }
  return { path, role, local }
}

/** One spelling of a list of schemas; null for what is none, or is said in another way. */
function pathOf(value: string): string | null {
  if (!list.test(value) || /^\s*default\s*$/i.test(value)) return null
  return value
    .split(',')
    .map((schema) => schema.trim().replace(/^"([a-z_][a-z0-9_]*)"$/, '$1'))
    .join(', ')
}
