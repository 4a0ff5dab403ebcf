// Where plug-ins say what happens while a server starts and stops: the framework's own logger if it has one, else lines on
// standard error. Nothing is logged for requests, and no line holds a password.
import { hookFailed } from '../observe/channels.ts'
import { type Check, must } from '../util/options.ts'
import { contain } from '../util/thrown.ts'

/** The part of a logger that is used: pino, winston and `console` have it. */
export interface PluginLogger {
  info(line: string): unknown
  warn(line: string): unknown
  error(line: string): unknown
}

export const anyLogger: Check = must(
  'false or an object with info, warn and error',
  (value) =>
    value === false ||
    (typeof value === 'object' &&
      value !== null &&
      ['info', 'warn', 'error'].every((name) => typeof Reflect.get(value, name) === 'function')),
)

const print = (line: string): unknown => process.stderr.write(`${line}\n`)
const standardError: PluginLogger = { info: print, warn: print, error: print }
const silent: PluginLogger = { info() {}, warn() {}, error() {} }

/** The logger to use: what was asked for, else the framework's, else standard error; false is silence. */
export function loggerOf(asked: PluginLogger | false | undefined, framework?: PluginLogger): PluginLogger {
  if (asked === false) return silent
  const used = asked ?? framework
  return used === undefined ? standardError : spared(used)
}

/** A logger that fails must not keep a server from starting or ending: that is told as a notice. */
function spared(logger: PluginLogger): PluginLogger {
  const failed = (thrown: unknown): void => hookFailed('The logger of a plug-in failed; a line is lost.', thrown)
  return {
    info: (line) => contain(() => logger.info(line), failed),
    warn: (line) => contain(() => logger.warn(line), failed),
    error: (line) => contain(() => logger.error(line), failed),
  }
}
