// Row specs of the engine itself.
import type { RowSpec } from '../../sql/compiled.ts'

/** The first column of a row. */
export const scalarSpec: RowSpec = { into: 'scalar', make: null, columns: null }
