// The texts of a statement that asks for what belongs to some keys: one for all lists of keys of the same types. It is written once, and gets
// other keys among its parameters each time.
import type { Dialect } from '../../sql/dialect.ts'
import type { KeyRows } from '../../sql/model-words.ts'
import { written } from '../json/defaults.ts'
import type { SqlText } from '../meta/sql-text.ts'
import { Shapes } from './ready.ts'

/** Keys of some types: for each part of a key its texts. */
export interface Keys {
  readonly types: readonly string[]
  readonly columns: readonly (readonly string[])[]
}

interface Text {
  readonly text: string
  readonly params: readonly unknown[]
}

interface Known extends Text {
  /** The places of the keys among the parameters. */
  readonly places: readonly number[]
}

export class KeyedTexts {
  readonly #dialect: Dialect
  readonly #known = new Shapes<Known>()

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  /** `write` writes it, and says where the rows of the keys stand. */
  statement({ types, columns }: Keys, write: (rows: (text: SqlText) => KeyRows) => SqlText): Text {
    const { models, placeholder } = this.#dialect
    const shape = types.join()
    const known = this.#known.peek(shape)
    if (known !== undefined) {
      const params = [...known.params]
      let next = 0
      models.lists.keys(types, columns, (value) => {
        params[known.places[next++] as number] = value
        return ''
      })
      return { text: known.text, params }
    }
    const places: number[] = []
    const { functions } = written
    const { text, params } = write((into) =>
      models.lists.keys(types, columns, (value) => {
        places.push(into.params.length)
        return into.placeOf(value, placeholder)
      }),
    )
    if (written.functions === functions) {
      const others = params.map((value, at) => (places.includes(at) ? null : value))
      this.#known.keep(shape, { text, params: others, places })
    }
    return { text, params }
  }
}
