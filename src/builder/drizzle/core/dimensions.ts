// The number of dimensions of an array column. Decoding and DDL ask for it. In Drizzle 0.45 the element of an array is a column too,
// which the callers look at themselves.

/** Structural: a PostgreSQL column of either version. */
export interface DimensionsLike {
  readonly columnType: string
  /** 1.0: of an array. 0.45: the length of a vector. */
  readonly dimensions?: number
  /** 1.0: of texts, bits and vectors. */
  readonly length?: number | undefined
  readonly vectorDimensions?: number | undefined
}

const vectors = new Set(['PgBinaryVector', 'PgHalfVector', 'PgSparseVector', 'PgVector'])

/** 0 for a column that is no array of 1.0. */
export function arrayDimensions(column: DimensionsLike): number {
  return isVector045(column) ? 0 : (column.dimensions ?? 0)
}

/** On 1.0 the length of a vector has another name, and `dimensions` are those of an array as everywhere. */
function isVector045({ columnType, length, vectorDimensions }: DimensionsLike): boolean {
  return vectors.has(columnType) && length === undefined && vectorDimensions === undefined
}
