// `genever/types`: conversions for the option `types`, ready-made.
export type { TypeConversion, TypeConversions, TypePart, TypeParts } from '../../sql/conversions.ts'
export { composite } from './composite.ts'
export { hstore, type Lexeme, ltree, type SparseVector, sparsevec, tsvector, vector } from './extensions.ts'
export {
  type Box,
  box,
  type Circle,
  circle,
  type Line,
  line,
  lseg,
  type Path,
  path,
  type Point,
  point,
  polygon,
  type Segment,
} from './geometry.ts'
export { type Interval, interval, localDate, type Network, network, utcDate } from './interval.ts'
export { multirange, type Range, range, type RangeGiven } from './ranges.ts'
export { structured, text } from './structured.ts'
