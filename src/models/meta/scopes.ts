// The tables from which subqueries of an expression select, learned from its pieces in their order. So a column is known to be a
// subquery's own, or one of the query around it.

/** The tables of one SELECT, by names without quotes. */
class Selected {
  readonly #names = new Set<string>()

  add(parts: readonly string[]): void {
    const name = parts.map((part) => part.replaceAll(quotes, ''))
    for (const names of [name, name.map((part) => part.toLowerCase())]) {
      this.#names.add(names.join('.'))
      this.#names.add(names.at(-1) as string)
    }
  }

  has(qualifier: string): boolean {
    return this.#names.has(qualifier.replaceAll(quotes, ''))
  }
}

/**
 * What stands in a pair of brackets, or around all of them. `at` is the place in a list of tables: one is expected, one was named,
 * its alias is expected, something else follows; or there is no such list.
 */
interface Brackets {
  readonly around: Brackets | null
  /** Where the tables of a list go that is no SELECT: `from (a join b …)`. */
  readonly list: Selected | null
  select: Selected | null
  at: 'table' | 'named' | 'alias' | 'behind' | 'none'
  parts: string[]
}

const quotes = /["`]/g
const token =
  /\be'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|--.*|\/\*[\s\S]*?\*\/|\$(\w*)\$[\s\S]*?\$\1\$|"(?:[^"]|"")*"|`(?:[^`]|``)*`|[\p{L}_][\p{L}\p{N}_$]*|[(),.]|[^\s]/giu

/** Between two tables of a list, and behind the list. */
const between =
  /^(?:join|inner|left|right|full|cross|natural|outer|straight_join|on|using|tablesample|use|force|ignore)$/
const behind = /^(?:where|group|having|window|order|limit|offset|fetch|for|union|intersect|except|returning|lock|into)$/

/** Before the name of a table, and after a function that gives one. */
const before = /^(?:only|lateral)$/
const after = /^(?:with|ordinality)$/

/** Where a column stands. */
export class Place {
  readonly #selects: readonly Selected[]

  constructor(selects: readonly Selected[]) {
    this.#selects = selects
  }

  /** In a subquery. */
  get isInside(): boolean {
    return this.#selects.length > 0
  }

  /** Whether a subquery around it selects from what has that name. After everything was read. */
  has(qualifier: string): boolean {
    return this.#selects.some((select) => select.has(qualifier))
  }
}

export class Scopes {
  #open: Brackets = { around: null, list: null, select: null, at: 'none', parts: [] }
  #last = ''

  /** The place of the next piece. */
  get place(): Place {
    const selects: Selected[] = []
    for (let open: Brackets | null = this.#open; open !== null; open = open.around)
      if (open.select !== null) selects.push(open.select)
    return new Place(selects)
  }

  /** A value, or a column. */
  skip(): void {
    this.#last = ''
  }

  read(text: string): void {
    for (const [piece] of text.matchAll(token)) {
      if (/^(?:e?'|--|\/\*|\$)/i.test(piece)) continue
      const word = piece.toLowerCase()
      this.#next(piece, word)
      this.#last = word
    }
  }

  #next(piece: string, word: string): void {
    const open = this.#open
    if (piece === '(') this.#enter()
    else if (piece === ')') this.#leave()
    else if (piece === ',') {
      if (open.at !== 'none') this.#named('table')
    } else if (piece === '.') {
      if (open.at === 'named') open.at = 'table'
    } else if (/^[\p{L}_]/u.test(piece)) this.#word(piece, word)
    else if (/^["`]/.test(piece)) this.#name(piece)
  }

  #word(piece: string, word: string): void {
    const open = this.#open
    if (word === 'select' || word === 'values') {
      if (word === 'select' && open.select === null) open.select = new Selected()
      this.#named('none')
    } else if (word === 'from') {
      if (open.select !== null && this.#last !== 'distinct') this.#named('table')
    } else if (open.at === 'none') {
      if (/^(?:union|intersect|except)$/.test(word)) open.select = null
    } else if (behind.test(word)) {
      this.#named('none')
      if (/^(?:union|intersect|except)$/.test(word)) open.select = null
    } else if (between.test(word)) this.#named(word.endsWith('join') ? 'table' : 'behind')
    else if (word === 'as' && open.at === 'named') open.at = 'alias'
    else if (!(open.at === 'table' ? before : after).test(word)) this.#name(piece)
  }

  /** Reads the name of a table, or its alias. */
  #name(piece: string): void {
    const open = this.#open
    if (open.at === 'table') {
      open.parts = this.#last === '.' ? [...open.parts, piece] : [piece]
      open.at = 'named'
    } else if (open.at === 'named' || open.at === 'alias') {
      open.parts = [piece]
      this.#named('behind')
    }
  }

  #named(next: Brackets['at']): void {
    const open = this.#open
    if (open.parts.length > 0) (open.select ?? open.list)?.add(open.parts)
    open.parts = []
    open.at = next
  }

  #enter(): void {
    const { at, select, list } = this.#open
    const isTables = at === 'table'
    this.#open = {
      around: this.#open,
      list: isTables ? (select ?? list) : null,
      select: null,
      at: isTables ? 'table' : 'none',
      parts: [],
    }
  }

  #leave(): void {
    if (this.#open.around === null) return
    this.#named('none')
    this.#open = this.#open.around
    if (this.#open.at === 'table') this.#open.at = 'named'
  }
}
