// The expressions of the fake SQL and the handling of its texts: values, select lists and conditions of one statement.
// Whatever it cannot read makes the whole statement no fake SQL.
import { refused as refusal, type FakeRow, type Refused, type Rows } from '../../../src/driver/fake/session.ts'
import { textOf } from '../../../src/driver/fake/settle.ts'
import type { SqlSession } from './session.ts'

/** Values of the expressions of one statement. */
export class Evaluation {
  readonly params: readonly unknown[]
  error: Refused | null = null
  /** An expression is no fake SQL. */
  unknown = false
  readonly #session: SqlSession

  constructor(params: readonly unknown[], session: SqlSession) {
    this.params = params
    this.#session = session
  }

  of(expression: string, row: FakeRow = {}): unknown {
    const text = expression.trim().replace(/::[\w\s"[\].]+$/, '')
    const parameter = /^\$(\d+)$/.exec(text)?.[1]
    if (parameter !== undefined) return this.#parameter(Number(parameter))
    if (/^-?\d+(?:\.\d+)?$/.test(text)) return Number(text)
    if (/^e?'(?:[^']|'')*'$/i.test(text)) return unquote(text)
    if (/^(?:true|false|null)$/i.test(text)) return JSON.parse(text.toLowerCase())
    const sum = /^(.+)\s*([+-])\s*(\S+)$/s.exec(text)
    if (sum !== null && !text.includes('(')) {
      const [left, right] = [Number(this.of(part(sum, 1), row)), Number(this.of(part(sum, 3), row))]
      return sum[2] === '+' ? left + right : left - right
    }
    if (Object.hasOwn(row, fold(text))) return row[fold(text)]
    const call = /^(?:pg_catalog\.)?(\w+)(?:\((.*)\))?$/s.exec(text)
    const value = call === null ? undefined : this.#call(part(call, 1).toLowerCase(), call[2], row)
    if (value === undefined) this.unknown = true
    return value
  }

  /** The columns of a select list, for each row. */
  project(items: string, rows: readonly FakeRow[], tag: string): Rows {
    const columns = cut(items, ',').map((item): readonly [string, string] => {
      const alias = /^(.+?)\s+as\s+("[^"]+"|\w+)$/is.exec(item.trim())
      const expression = alias === null ? item : part(alias, 1)
      const plain = /^(\w+|"[^"]+")(?:\(.*\))?(?:::.*)?$/s.exec(expression.trim())?.[1]
      const given = plain === undefined || /^\d/.test(plain) ? '?column?' : fold(plain)
      return [alias === null ? given : fold(part(alias, 2)), expression]
    })
    return {
      rows: rows.map((row) => columns.map(([, expression]) => this.of(expression, row))),
      columns: columns.map(([name]) => name),
      tag,
      count: rows.length,
    }
  }

  /** `a = x and b = y`; without a condition every row. */
  holds(condition: string | undefined, row: FakeRow): boolean {
    if (condition === undefined) return true
    return condition.split(/\s+and\s+/i).every((term) => {
      const [, name = '', operator, expression = ''] = /^\s*(\w+|"[^"]+")\s*(=|<>|!=)\s*(.+)$/s.exec(term) ?? []
      if (operator === undefined) this.unknown = true
      const left = row[fold(name)]
      const same = textOf(left) === textOf(this.of(expression, row))
      return left !== null && left !== undefined && same === (operator === '=')
    })
  }

  #parameter(number: number): unknown {
    if (number > this.params.length) {
      this.error ??= refused('08P01', `there are ${this.params.length} parameters, but the text has $${number}`)
    }
    return this.params[number - 1]
  }

  #call(name: string, list: string | undefined, row: FakeRow): unknown {
    const session = this.#session
    const args = list === undefined || list.trim() === '' ? [] : cut(list, ',').map((arg) => this.of(arg, row))
    const first = String(args[0])
    if (list === undefined) {
      const login = session.setting('session_authorization') ?? 'fake'
      const role = session.setting('role')
      if (name === 'session_user') return login
      if (name === 'current_user') return role === 'none' ? login : role
      return undefined
    }
    switch (name) {
      case 'pg_backend_pid':
        return session.id
      case 'set_config':
        session.set(first, String(args[1]), args[2] === true)
        return args[1]
      case 'current_setting':
        return this.#setting(first, args[1] === true)
      case 'pg_notify':
        session.notes.push({ channel: first, payload: String(args[1]) })
        return ''
      case 'pg_advisory_lock':
        session.locks.add(first)
        return ''
      case 'pg_advisory_unlock':
        return session.locks.delete(first)
      case 'pg_advisory_unlock_all':
        session.locks.clear()
        return ''
      default:
        return undefined
    }
  }

  #setting(name: string, missingOk: boolean): string | null {
    const value = this.#session.setting(name)
    if (value === undefined && !missingOk) {
      this.error ??= refused('42704', `unrecognized configuration parameter "${name}"`)
    }
    return value ?? null
  }
}

/** An ErrorResponse. */
export function refused(error: string, message?: string): Refused {
  return refusal({ error, message })
}

export function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return textOf(a) < textOf(b) ? -1 : Number(textOf(a) > textOf(b))
}

export function part(match: RegExpExecArray, index: number): string {
  return match[index] ?? ''
}

/** A name as the server keeps it. */
export function fold(name: string): string {
  const text = name.trim()
  return (text.includes('"') ? text.replaceAll('"', '') : text.toLowerCase()).replace(/^public\./, '')
}

export function unquote(value: string): string {
  const text = value.trim()
  if (/^e'.*'$/is.test(text)) return unquote(text.slice(1)).replaceAll('\\\\', '\\')
  return /^'.*'$/s.test(text) ? text.slice(1, -1).replaceAll("''", "'") : text
}

/** Without comments, a closing semicolon and blanks around. */
export function strip(sql: string): string {
  return sql
    .replace(/\/\*.*?\*\/|^\s*--.*$/gms, '')
    .trim()
    .replace(/\s*;$/, '')
}

/** Cuts at a character outside of quotes and brackets. */
export function cut(text: string, at: ',' | ';'): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (const { 0: token, index } of text.matchAll(
    /'(?:[^']|'')*'|"[^"]*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|\/\*.*?\*\/|[(),;]/gs,
  )) {
    if (token === '(') depth++
    else if (token === ')') depth--
    else if (token === at && depth === 0) {
      parts.push(text.slice(from, index))
      from = index + 1
    }
  }
  parts.push(text.slice(from))
  return parts
}
