// The drivers that ship: a folder and one line here, each under its name.
export { postgres, socket } from './socket/descriptor.ts'
export { pg } from './pg/descriptor.ts'
export { pglite } from './pglite/descriptor.ts'
export { mysql } from './mysql/descriptor.ts'
