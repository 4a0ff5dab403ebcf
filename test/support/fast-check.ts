/** fast-check, whose samples are the same in each run: a failure can be repeated, and other samples are those of the soak. */

import fc from 'fast-check'
import { sampleSeed } from './extent.ts'

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: sampleSeed(1) })

export { default as fc } from 'fast-check'
