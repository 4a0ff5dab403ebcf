// The drivers that ship: a folder and one line here, each under its name.
export { pg, postgres } from './pg/descriptor.ts'
export { socket } from './socket/descriptor.ts'
export { pglite } from './pglite/descriptor.ts'
export { mysql } from './mysql/descriptor.ts'
