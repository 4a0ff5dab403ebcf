// Where plug-ins say what happens while a server starts and stops: the framework's own logger if it has one, else lines on
// standard error. Nothing is logged for requests, and no line holds a password.

/** The part of a logger that is used: pino, winston and `console` have it. */
export interface PluginLogger {
  info(line: string): unknown
  warn(line: string): unknown
  error(line: string): unknown
}

const print = (line: string): unknown => process.stderr.write(`${line}\n`)
const standardError: PluginLogger = { info: print, warn: print, error: print }
const silent: PluginLogger = { info() {}, warn() {}, error() {} }

/** The logger to use: what was asked for, else the framework's, else standard error; false is silence. */
export function loggerOf(asked: PluginLogger | false | undefined, framework?: PluginLogger): PluginLogger {
  if (asked === false) return silent
  return asked ?? framework ?? standardError
}
