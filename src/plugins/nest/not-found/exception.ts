// What Nest calls what is not found.
import { NotFoundException } from '@nestjs/common'
import type { NotFoundError } from '../../../errors/index.ts'

/** The exception of Nest that answers 404 with the same message. The error is its `cause`. */
export function asNestException(error: NotFoundError): NotFoundException {
  return new NotFoundException(error.message, { cause: error })
}
