// Drizzle on the ambient connection; importing it makes every executor understand Drizzle's builders.
import './adapter.ts'

export { ambient } from './ambient.ts'
export { type Casing, inCasing } from './core/casing.ts'
