#!/usr/bin/env node
// The program `genever`.
import { main } from './main.ts'

const code = main(process.argv.slice(2))
void code.then((number) => {
  process.exitCode = number
})
