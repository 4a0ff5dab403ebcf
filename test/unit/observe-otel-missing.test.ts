import { UsageError } from 'genever'
import { instrument } from 'genever/otel'
import { expect, test, vi } from 'vitest'
import { statementChannel } from '../../src/observe/channels.ts'

vi.mock('@opentelemetry/api', () => {
  throw new TypeError('Cannot find package')
})

test('without the API of OpenTelemetry it says how to install it, and listens to nothing', async () => {
  const instrumented = instrument()

  await expect(instrumented).rejects.toThrow(UsageError)
  await expect(instrumented).rejects.toThrow('npm install @opentelemetry/api')
  expect(statementChannel.hasSubscribers).toBe(false)
})
