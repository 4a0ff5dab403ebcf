// What a model does around its rows. Options rather than overridden statics: `static override create()` cannot be typed.
import type { StandardSchema } from '../types/standard-schema.ts'

export interface ModelHooks {
  /** Changes or refuses what is about to be inserted; may return other values. */
  readonly beforeCreate?: ((values: Record<string, unknown>) => unknown) | undefined
  /** The same for what an update sets. */
  readonly beforeUpdate?: ((values: Record<string, unknown>, instance: object | undefined) => unknown) | undefined
  /** Gets each instance that was read. */
  readonly afterLoad?: ((instance: object) => void) | undefined
  /** Checks what `create` and `createMany` are given, before anything else. */
  readonly validate?: StandardSchema | undefined
}
