// The types that come with PostgreSQL, whose numbers are the same in every database: their names, what arrays have as elements,
// and what ranges are of.

/** Types of a database, such as those of its tables and extensions, begin here. */
export const firstOfDatabase = 10_000

// Number, then names as users may write them: the server's own first. `~` stands for a space.
const list = `
16 bool boolean|17 bytea|18|19 name|20 int8 bigint|21 int2 smallint|22 int2vector|23 int4 integer int|24 regproc|25 text|26 oid
27 tid|28 xid|29 cid|30 oidvector|114 json|142 xml|600 point|601 lseg|602 path|603 box|604 polygon|628 line|650 cidr
700 float4 real|701 float8 double~precision|718 circle|774 macaddr8|790 money|829 macaddr|869 inet|1033 aclitem
1042 bpchar char character|1043 varchar character~varying|1082 date|1083 time time~without~time~zone
1114 timestamp timestamp~without~time~zone|1184 timestamptz timestamp~with~time~zone|1186 interval
1266 timetz time~with~time~zone|1560 bit|1562 varbit bit~varying|1700 numeric decimal|1790 refcursor|2202 regprocedure
2203 regoper|2204 regoperator|2205 regclass|2206 regtype|2249 record|2275 cstring|2278 void|2950 uuid|2970 txid_snapshot
3220 pg_lsn|3614 tsvector|3615 tsquery|3642 gtsvector|3734 regconfig|3769 regdictionary|3802 jsonb|3904 int4range|3906 numrange
3908 tsrange|3910 tstzrange|3912 daterange|3926 int8range|4072 jsonpath|4089 regnamespace|4096 regrole|4191 regcollation
4451 int4multirange|4532 nummultirange|4533 tsmultirange|4534 tstzmultirange|4535 datemultirange|4536 int8multirange
5038 pg_snapshot|5069 xid8`

// The tables are read from their texts when the first type is looked up in them: not every program does.
let byNumber: ReadonlyMap<number, readonly string[]> | undefined
let allNames: ReadonlySet<string> | undefined
let elements: ReadonlyMap<number, number> | undefined
let ranges: ReadonlyMap<number, number> | undefined

function names(): ReadonlyMap<number, readonly string[]> {
  byNumber ??= new Map(
    list
      .trim()
      .split(/[|\n]/)
      .map((entry) => {
        const [number, ...words] = entry.split(' ')
        return [Number(number), words.map((word) => word.replaceAll('~', ' '))] as const
      }),
  )
  return byNumber
}

/** The server's own name first. None for a type that has none, or that is not known. */
export function namesOf(type: number): readonly string[] {
  return names().get(type) ?? []
}

/** Whether it is a name of a type that comes with the server. */
export function isBuiltIn(name: string): boolean {
  allNames ??= new Set([...names().values()].flat())
  return allNames.has(name)
}

// Array type → type of its elements.
const elementPairs = `
  1000:16 1001:17 1002:18 1003:19 1016:20 1005:21 1006:22 1007:23 1008:24 1009:25 1028:26 1010:27 1011:28
  1012:29 1013:30 199:114 143:142 1017:600 1018:601 1019:602 1020:603 1027:604 651:650 1021:700 1022:701
  719:718 1040:829 791:790 1041:869 629:628 775:774 1014:1042 1015:1043 1182:1082 1183:1083 1115:1114
  1185:1184 1187:1186 1270:1266 1561:1560 1563:1562 1231:1700 2951:2950 3221:3220 3643:3614 3645:3615
  3807:3802 3905:3904 3907:3906 3909:3908 3911:3910 3913:3912 3927:3926 2210:2205 2211:2206 4073:4072
  2201:1790 2207:2202 2208:2203 2209:2204 4090:4089 4097:4096 3735:3734 3770:3769 271:5069 2949:2970
  6150:4451 6151:4532 6152:4533 6153:4534 6155:4535 6157:4536 1034:1033 1263:2275 2287:2249 3644:3642
  4192:4191 5039:5038`

// Range → what it is of; multirange → its range.
const rangePairs = `
  3904:23 3906:1700 3908:1114 3910:1184 3912:1082 3926:20
  4451:3904 4532:3906 4533:3908 4534:3910 4535:3912 4536:3926`

function readPairs(text: string): ReadonlyMap<number, number> {
  return new Map(Array.from(text.matchAll(/(\d+):(\d+)/g), ([, from, to]) => [Number(from), Number(to)]))
}

/** The element type of an array type that comes with the server, 0 for all others. */
export function elementOf(type: number): number {
  elements ??= readPairs(elementPairs)
  return elements.get(type) ?? 0
}

/** What a range that comes with the server is of, or the range of a multirange; 0 for all others. */
export function rangeOf(type: number): number {
  ranges ??= readPairs(rangePairs)
  return ranges.get(type) ?? 0
}
