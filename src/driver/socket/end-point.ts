// The hash of a server's certificate that a login is bound to: `tls-server-end-point` of RFC 5929. Which hash that is depends on
// how the certificate was signed. Node 20 does not say, so it is read from the certificate (DER, X.690) by hand.

/** Signature algorithms by object identifier, as the bytes of it in hexadecimal, and the hash of each. */
const hashes: ReadonlyMap<string, string> = new Map([
  // PKCS #1: MD5 and SHA-1 stand for SHA-256 in RFC 5929.
  ['2a864886f70d010104', 'sha256'],
  ['2a864886f70d010105', 'sha256'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010e', 'sha224'],
  ['2a864886f70d01010f', 'sha512-224'],
  ['2a864886f70d010110', 'sha512-256'],
  // ECDSA.
  ['2a8648ce3d0401', 'sha256'],
  ['2a8648ce3d040301', 'sha224'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  // DSA.
  ['2a8648ce380403', 'sha256'],
  ['608648016503040301', 'sha224'],
  ['608648016503040302', 'sha256'],
  ['608648016503040303', 'sha384'],
  ['608648016503040304', 'sha512'],
])

const pss = '2a864886f70d01010a'

/** The hashes that the parameters of RSASSA-PSS name. */
const pssHashes: ReadonlyMap<string, string> = new Map([
  ['2b0e03021a', 'sha256'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
  ['608648016503040204', 'sha224'],
])

const sequence = 0x30
const identifier = 0x06
const firstParameter = 0xa0

/** Null: its signature has no hash (Ed25519), or one that nobody here knows. */
export function endPointOf(certificate: Buffer): Buffer | null {
  const hash = hashOf(certificate)
  if (hash === null) return null
  return process.getBuiltinModule('node:crypto').createHash(hash).update(certificate).digest()
}

/** The name of the hash, for `createHash`. */
export function hashOf(certificate: Buffer): string | null {
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm, parameters }, signature }
  const whole = element(certificate, 0, sequence)
  const signed = whole && element(certificate, whole.from, sequence)
  const algorithm = signed && element(certificate, signed.to, sequence)
  const name = algorithm && element(certificate, algorithm.from, identifier)
  if (!algorithm || !name) return null
  const known = certificate.toString('hex', name.from, name.to)
  if (known !== pss) return hashes.get(known) ?? null
  // RSASSA-PSS-params ::= SEQUENCE { [0] HashAlgorithm DEFAULT sha1, … }
  const parameters = element(certificate, name.to, sequence)
  const first = parameters && parameters.from < parameters.to && element(certificate, parameters.from, firstParameter)
  if (!parameters) return null
  if (!first) return 'sha256'
  const inner = element(certificate, first.from, sequence)
  const hash = inner && element(certificate, inner.from, identifier)
  return hash ? (pssHashes.get(certificate.toString('hex', hash.from, hash.to)) ?? null) : null
}

interface Element {
  readonly from: number
  readonly to: number
}

/** The content of the element at `at`, when it is of that kind and ends within the bytes. */
function element(bytes: Buffer, at: number, kind: number): Element | undefined {
  if (bytes[at] !== kind) return undefined
  const first = bytes[at + 1] ?? 0
  const more = first < 0x80 ? 0 : first & 0x7f
  if (more > 4) return undefined
  let size = more === 0 ? first : 0
  for (let index = 0; index < more; index++) size = size * 256 + (bytes[at + 2 + index] ?? 0)
  const from = at + 2 + more
  return from + size <= bytes.length ? { from, to: from + size } : undefined
}
