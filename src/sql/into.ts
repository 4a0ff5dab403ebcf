// The type of the option `into`: what the rows of a text or of a foreign builder become. No package is named: models, columns and
// expressions are told by their form.
/** Carries the type of what a loader makes; it is never a property at run time. */
export declare const loads: unique symbol

// oxlint-disable typescript/no-explicit-any -- positions that are not inferred
/**
 * A model, an alias or a loader of it, a column, an SQL expression with a name, a function of a row, a class that gets a row, or a
 * tuple of loaders.
 */
export type Into =
  | (new (...args: any[]) => object)
  | ((row: any, context: any) => unknown)
  | { readonly [loads]: any }
  | { readonly of: new (...args: any[]) => object }
  | { readonly _: { readonly data: any; readonly notNull: boolean } }
  | { readonly _: { readonly type: any } }
  | readonly Into[]

/** The type of the object that a row becomes. */
export type IntoRow<I> = I extends { readonly [loads]: infer R }
  ? R
  : I extends abstract new (...args: any[]) => infer R
    ? R
    : I extends { readonly of: abstract new (...args: any[]) => infer R }
      ? R
      : I extends { readonly _: { readonly data: infer V; readonly notNull: infer N } }
        ? N extends true
          ? V
          : V | null
        : I extends { readonly _: { readonly type: infer V } }
          ? V
          : I extends (...args: any[]) => infer R
            ? R
            : I extends readonly unknown[]
              ? number extends I['length']
                ? unknown[]
                : { -readonly [K in keyof I]: IntoRow<I[K]> }
              : never
// oxlint-enable typescript/no-explicit-any
