// What tests need of the package: the sandbox, and a driver without a server. Re-exports, nothing else.
export { type RunTest, sandbox, sandboxed, type SandboxOptions, type SandboxTarget } from './sandbox.ts'
export { FakeDriver, type FakeAnswer, type FakeDriverOptions } from '../driver/fake/driver.ts'
export type {
  Fault,
  FaultPhase,
  FaultPoint,
  Faults,
  PlantedFault,
  Scheduler,
  ServerFault,
  StepScheduler,
  TaskScheduler,
} from '../driver/fake/scenario.ts'
export type { FakeRow, FakeSession, Rows as FakeRows } from '../driver/fake/session.ts'
