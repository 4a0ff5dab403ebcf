/** `genever/nest`: the suite, over Nest 12 on Fastify. */

import { requestSuite } from '../request-suite.ts'
import { adapterOf } from './suite.ts'

requestSuite(adapterOf('fastify'))
