// All ready-made conversions together.
import type { TypeConversion } from '../../sql/conversions.ts'
import { composite } from './composite.ts'
import { hstore, ltree, sparsevec, tsvector, vector } from './extensions.ts'
import { box, circle, line, lseg, path, point, polygon } from './geometry.ts'
import { interval, network } from './interval.ts'
import { multirange, range } from './ranges.ts'

/** As PostgreSQL writes it. Arrays of the type become arrays: `types: { anyenum: text }`. */
export const text: TypeConversion<string> = { read: (value) => value }

/**
 * All of them by the types that they are for, to be spread: every type that has parts becomes an object, and arrays of enums
 * become arrays.
 */
export const structured: Readonly<Record<string, TypeConversion>> = {
  anyenum: text,
  anyrange: range,
  anymultirange: multirange,
  record: composite,
  interval,
  inet: network,
  cidr: network,
  point,
  line,
  lseg,
  box,
  path,
  polygon,
  circle,
  tsvector,
  hstore,
  ltree,
  vector,
  halfvec: vector,
  sparsevec,
}
