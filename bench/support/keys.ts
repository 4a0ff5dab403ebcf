/** The same sequence of keys in every process: each call gives one from 1 to `limit`, which is `usual` if it is not given. */
export function keys(usual: number): (limit?: number) => number {
  let seed = 12_345
  return (limit = usual) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return 1 + (seed % limit)
  }
}
