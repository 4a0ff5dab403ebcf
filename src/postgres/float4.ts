// Numbers of four bytes: which one a number becomes there, and what the server writes for one. The value is the same whether it travels
// as text or in binary.

/** What the server makes of its digits. Null: it refuses them, or they may lie on another side of the middle of two than the number. */
export function float4Of(value: number): number | null {
  const near = Math.fround(value)
  if (near === value || Number.isNaN(value)) return near
  const other = near + 2 * (value - near)
  return !Number.isFinite(near) || near === 0 || Math.fround(other) === other ? null : near
}

const powers = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12] as const
/** So many digits are enough for any. */
const mostDigits = 9
const belowPower = 1 - 2 ** -24

/** Of a number that has four bytes, the one with the fewest digits that becomes it: 0.1 of 0.10000000149011612. */
export function shortest(value: number): number {
  const size = Math.abs(value)
  const below = size * belowPower
  // Products with more digits are not exact. What becomes a power of two is not as far below it as above.
  if (!(size >= 1e-4 && size < 1e9) || Math.fround(below) === below) return rarely(value, size)
  let places = mostDigits - 1
  if (size >= 1) while (size >= (powers[mostDigits - places] as number)) places--
  else if (size >= 1e-1) places = mostDigits
  else if (size >= 1e-2) places = mostDigits + 1
  else places = size >= 1e-3 ? mostDigits + 2 : mostDigits + 3
  let found = rounded(size, places - 1)
  if (!becomes(found, size)) found = rounded(size, places)
  else
    for (let fewer = places - 2; fewer >= places - 3; fewer--) {
      const next = rounded(size, fewer)
      if (!becomes(next, size)) break
      // None with fewer than six digits has another value.
      found = next
    }
  return value < 0 ? -found : found
}

/** To so many decimal places; to an even digit from the middle, as the server does. */
function rounded(size: number, places: number): number {
  const scale = powers[places < 0 ? -places : places] as number
  const scaled = places < 0 ? size / scale : size * scale
  let digits = Math.round(scaled)
  if (digits - scaled === 0.5 && digits % 2 === 1) digits--
  return places < 0 ? digits * scale : digits / scale
}

/** What lies in the middle of two is written with more digits. */
function becomes(value: number, float: number): boolean {
  if (Math.fround(value) !== float) return false
  const other = 2 * value - float
  return value === float || Math.fround(other) !== other
}

function rarely(value: number, size: number): number {
  if (size === 0 || !Number.isFinite(size)) return value
  for (let digits = 1; ; digits++) {
    const [mantissa = '', exponent] = size.toExponential(digits - 1).split('e')
    const whole = Number(mantissa.replace('.', ''))
    const with10 = (number: number): number => Number(`${number}e${Number(exponent) - digits + 1}`)
    const isMiddle = whole % 2 === 1 && with10(whole - 0.5) === size
    for (const each of isMiddle ? [whole - 1] : [whole, whole + 1]) {
      const found = with10(each)
      if (digits === mostDigits || becomes(found, size)) return value < 0 ? -found : found
    }
  }
}
