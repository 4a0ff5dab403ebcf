/** Runs one benchmark program by name: `npm run bench -- overhead`. Programs take their own arguments after the name. */

import { readdir } from 'node:fs/promises'

const programs = (await readdir(import.meta.dirname))
  .filter((file) => file.endsWith('.js') && file !== 'run.js')
  .map((file) => file.slice(0, -'.js'.length))
const [name] = process.argv.splice(2, 1)

if (name === undefined || !programs.includes(name)) {
  console.log(`usage: npm run bench -- <program> [arguments]\nprograms: ${programs.join(', ') || 'none yet'}`)
  process.exitCode = name === undefined ? 0 : 1
} else {
  await import(`./${name}.js`)
}
