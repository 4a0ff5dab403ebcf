// The name of the connection on a request whose prototype its framework has changed, as Express changes that of each: a property
// of what all its requests inherit from. In Node 20 and 22 one of the request itself would be a hidden class for this one alone.
import { IncomingMessage } from 'node:http'
import type { Connection } from '../../engine/connection.ts'
import { scopesOf } from './node.ts'
import type { RequestScope } from './scope.ts'

/** The names that a prototype of requests gives connections by. */
const known = new WeakMap<object, Set<string>>()

function namesOf(prototype: object): Set<string> {
  let names = known.get(prototype)
  if (names === undefined) known.set(prototype, (names = new Set()))
  return names
}

/**
 * Lets a request whose prototype was changed give the connection of `scope` by that name. Does nothing where the name is taken, and for
 * other requests.
 */
export function giveByPrototype(request: IncomingMessage, scope: RequestScope, name: string): void {
  const prototype = Object.getPrototypeOf(request) as object
  if (prototype === IncomingMessage.prototype) return
  const names = namesOf(prototype)
  if (!names.has(name)) {
    const common = commonOf(prototype)
    if (common === null || !declare(common, prototype, name)) return
    names.add(name)
  }
  if (scope.names === null) scope.names = [name]
  else if (!scope.names.includes(name)) scope.names.push(name)
}

/** What all applications of the framework inherit from, since a request may go from one to another. */
function commonOf(prototype: object): object | null {
  let common = prototype
  for (;;) {
    const up = Object.getPrototypeOf(common) as object | null
    if (up === null) return null
    if (up === IncomingMessage.prototype) return common === prototype ? null : common
    common = up
  }
}

function declare(common: object, prototype: object, name: string): boolean {
  const names = namesOf(common)
  if (names.has(name)) return true
  if (name in prototype) return false
  names.add(name)
  Object.defineProperty(common, name, {
    configurable: true,
    get(this: IncomingMessage): Connection | undefined {
      return scopesOf(this)?.find((scope) => scope.names?.includes(name))?.connection
    },
    set(this: IncomingMessage, value: unknown) {
      Object.defineProperty(this, name, { configurable: true, enumerable: true, writable: true, value })
    },
  })
  return true
}
