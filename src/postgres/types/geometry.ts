// Geometric types as objects.
import type { TypeConversion } from '../../sql/conversions.ts'
import { unreadable, unwritable } from './pieces.ts'

/** A point of the plane. */
export interface Point {
  readonly x: number
  readonly y: number
}

/** The line `ax + by + c = 0`. */
export interface Line {
  readonly a: number
  readonly b: number
  readonly c: number
}

/** A line between two points. */
export interface Segment {
  readonly from: Point
  readonly to: Point
}

/** Two opposite corners: PostgreSQL gives the upper right one first. */
export interface Box {
  readonly high: Point
  readonly low: Point
}

/** Points in their order; `closed`: from the last one back to the first. */
export interface Path {
  readonly points: readonly Point[]
  readonly closed: boolean
}

/** A centre and a radius. */
export interface Circle extends Point {
  readonly radius: number
}

const number = /[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Infinity|NaN)/gi

/** @param count How many there have to be; undefined: points, one at least. */
function numbersOf(text: string, what: string, count?: number): number[] {
  const numbers = (text.match(number) ?? []).map(Number)
  const fits = count === undefined ? numbers.length > 0 && numbers.length % 2 === 0 : numbers.length === count
  return fits ? numbers : unreadable(what)
}

function pointsOf(numbers: readonly number[]): Point[] {
  const points: Point[] = []
  for (let at = 0; at < numbers.length; at += 2) points.push({ x: numbers[at] as number, y: numbers[at + 1] as number })
  return points
}

function pointText(given: unknown, type: string): string {
  const { x, y } = (given ?? {}) as Partial<Point>
  if (typeof x !== 'number' || typeof y !== 'number') return unwritable(type, 'points { x, y }, which are numbers')
  return `(${x},${y})`
}

function pointsText(given: unknown, type: string): string {
  if (!Array.isArray(given) || given.length === 0) return unwritable(type, 'a list of points { x, y }')
  return given.map((point) => pointText(point, type)).join(',')
}

/** `{ x, y }` */
export const point: TypeConversion<Point> = {
  list: false,
  read: (text) => pointsOf(numbersOf(text, 'point', 2))[0] as Point,
  write: (value) => pointText(value, 'point'),
}

/** `{ a, b, c }` */
export const line: TypeConversion<Line> = {
  list: false,
  read(text) {
    const [a, b, c] = numbersOf(text, 'line', 3) as [number, number, number]
    return { a, b, c }
  },
  write(value) {
    const { a, b, c } = value as Partial<Line>
    const fits = [a, b, c].every((each) => typeof each === 'number')
    return fits ? `{${a},${b},${c}}` : unwritable('line', 'an object { a, b, c }, which are numbers')
  },
}

/** `{ from, to }`, two points. */
export const lseg: TypeConversion<Segment> = {
  list: false,
  read(text) {
    const [from, to] = pointsOf(numbersOf(text, 'lseg', 4)) as [Point, Point]
    return { from, to }
  },
  write: (value) => `[${pointsText([(value as Segment).from, (value as Segment).to], 'lseg')}]`,
}

/** `{ high, low }`, two points. */
export const box: TypeConversion<Box> = {
  list: false,
  read(text) {
    const [high, low] = pointsOf(numbersOf(text, 'box', 4)) as [Point, Point]
    return { high, low }
  },
  write: (value) => pointsText([(value as Box).high, (value as Box).low], 'box'),
}

/** `{ points, closed }` */
export const path: TypeConversion<Path> = {
  list: false,
  read: (text) => ({ points: pointsOf(numbersOf(text, 'path')), closed: text.startsWith('(') }),
  write(value) {
    const { points, closed } = value as Partial<Path>
    const text = pointsText(points, 'path')
    return closed === false ? `[${text}]` : `(${text})`
  },
}

/** A list of points. */
export const polygon: TypeConversion<Point[]> = {
  list: true,
  read: (text) => pointsOf(numbersOf(text, 'polygon')),
  write: (value) => `(${pointsText(value, 'polygon')})`,
}

/** `{ x, y, radius }` */
export const circle: TypeConversion<Circle> = {
  list: false,
  read(text) {
    const [x, y, radius] = numbersOf(text, 'circle', 3) as [number, number, number]
    return { x, y, radius }
  },
  write(value) {
    const { radius } = value as Partial<Circle>
    if (typeof radius !== 'number') return unwritable('circle', 'an object { x, y, radius }, which are numbers')
    return `<${pointText(value, 'circle')},${radius}>`
  },
}
