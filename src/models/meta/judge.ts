// Whether a row can have a key at all, judged without the server: a key from a URL is text of a stranger.
export type Judge = (value: unknown) => boolean

/** Whole numbers within the bounds, also as text in decimal digits: other forms, such as `0x10`, are read by some servers only. */
function whole(bits: bigint): Judge {
  const [least, most] = [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
  const [first, last] = [Number(least), Number(most)]
  return (value) => {
    if (typeof value === 'number') return Number.isInteger(value) && value >= first && value <= last
    if (typeof value === 'bigint') return value >= least && value <= most
    if (typeof value !== 'string') return false
    if (value.length > 100 || !/^\s*[+-]?\d+\s*$/.test(value)) return false
    const number = BigInt(value.trim().replace(/^\+/, ''))
    return number >= least && number <= most
  }
}

const uuid = /^\{?(?:[\da-f]{4}-?){8}\}?$/i
const isText: Judge = (value) => typeof value !== 'object'
/** Values that such a column cannot hold are refused when they are encoded. The server only compares. */
const compared: Judge = () => true
const [two, four, eight] = [whole(16n), whole(32n), whole(64n)]

const judges: Readonly<Record<string, Judge | undefined>> = {
  PgSmallInt: two,
  PgSmallSerial: two,
  PgInteger: four,
  PgSerial: four,
  PgBigInt53: eight,
  PgBigSerial53: eight,
  PgBigInt64: eight,
  PgBigSerial64: eight,
  PgBigIntString: eight,
  PgUUID: (value) => typeof value === 'string' && uuid.test(value),
  PgText: isText,
  PgVarchar: isText,
  MySqlBigInt53: compared,
  MySqlBigInt64: compared,
  MySqlChar: compared,
  MySqlInt: compared,
  MySqlMediumInt: compared,
  MySqlSerial: compared,
  MySqlSmallInt: compared,
  MySqlText: compared,
  MySqlTinyInt: compared,
  MySqlVarBinary: compared,
  MySqlVarChar: compared,
}

/** Undefined: only the server can tell. The judge gives false for what no row can have in a column of that kind. */
export function judgeOf(columnType: string): Judge | undefined {
  return judges[columnType]
}
