// The commit before, beside this one in one run: `--before FOLDER` names a checkout of it in which `npm run build:bench` has run.
import { join, resolve } from 'node:path'

/** A program of `bench/support`, of this checkout or of that one; it loads the Genever of its own checkout. */
export function builtIn(checkout: string | undefined, file: string): string {
  return checkout === undefined ? join(import.meta.dirname, file) : resolve(checkout, '.build/bench/support', file)
}
