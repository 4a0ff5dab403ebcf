// SCRAM-SHA-256, the client's side of it (RFC 5802, RFC 7677), with and without channel binding. Texts in, texts out; it knows
// no messages and no socket. The server has to prove that it knows the password too: `verify` throws otherwise.
import { ProtocolError } from '../../errors/index.ts'
import { inRoot } from '../../util/context.ts'

export const scramSha256 = 'SCRAM-SHA-256'
export const scramSha256Plus = 'SCRAM-SHA-256-PLUS'

/** Loaded where it is needed alone: with `trust`, to load it is a good part of the start of a process. */
const crypto = () => process.getBuiltinModule('node:crypto')

/** A server that asks for more rounds would burn the time of this process before it has proved anything. */
const mostRounds = 10_000_000

/**
 * What the password exchange is bound to. `bound`: the hash of the server's certificate. `possible`: it would have been bound,
 * but the server offered no binding, which is told to it, so that nobody in between can have taken the offer away. `none`.
 */
export type Binding =
  | { readonly kind: 'bound'; readonly data: Buffer }
  | { readonly kind: 'possible' }
  | { readonly kind: 'none' }

const flags = { bound: 'p=tls-server-end-point,,', possible: 'y,,', none: 'n,,' } as const

export class Scram {
  readonly #password: string
  readonly #binding: Binding
  readonly #bare: string
  readonly #nonce: string
  #proof: Buffer | null = null

  /** @param user Left empty: the server takes that of the start-up message. As `nonce`, it is for tests. */
  constructor(
    password: string,
    binding: Binding,
    nonce: string = crypto().randomBytes(18).toString('base64'),
    user: string = '',
  ) {
    this.#password = password
    this.#binding = binding
    this.#nonce = nonce
    this.#bare = `n=${user},r=${nonce}`
  }

  get mechanism(): string {
    return this.#binding.kind === 'bound' ? scramSha256Plus : scramSha256
  }

  /** The first message of the client. */
  first(): string {
    return `${flags[this.#binding.kind]}${this.#bare}`
  }

  /** The answer to the challenge of the server. @throws {ProtocolError} */
  async answer(challenge: string): Promise<string> {
    const { nonce, salt, rounds } = readChallenge(challenge, this.#nonce)
    const header = Buffer.from(flags[this.#binding.kind])
    const bound = this.#binding.kind === 'bound' ? Buffer.concat([header, this.#binding.data]) : header
    const final = `c=${bound.toString('base64')},r=${nonce}`
    const said = `${this.#bare},${challenge},${final}`
    const salted = await stretch(await prepared(this.#password), salt, rounds)
    const clientKey = keyed(salted, 'Client Key')
    const signature = keyed(crypto().createHash('sha256').update(clientKey).digest(), said)
    this.#proof = keyed(keyed(salted, 'Server Key'), said)
    return `${final},p=${xor(clientKey, signature).toString('base64')}`
  }

  /** The last message of the server. @throws {ProtocolError} when it is not the proof that it knows the password. */
  verify(final: string): void {
    const [, proof] = /^v=([^,]+)(?:,.*)?$/s.exec(final) ?? []
    if (proof === undefined || this.#proof === null) throw new ProtocolError('a SCRAM exchange without a proof')
    const given = base64(proof)
    if (given === null || given.length !== this.#proof.length || !crypto().timingSafeEqual(given, this.#proof))
      throw new ProtocolError('a SCRAM exchange whose proof is wrong: the server does not know the password')
  }
}

interface Challenge {
  readonly nonce: string
  readonly salt: Buffer
  readonly rounds: number
}

function readChallenge(challenge: string, own: string): Challenge {
  // An extension that must be understood (`m=`) would stand in front, and is none that we know.
  const [, nonce = '', text = '', count = ''] =
    /^r=([\x21-\x2b\x2d-\x7e]+),s=([^,]+),i=(\d{1,10})(?:,.*)?$/s.exec(challenge) ?? []
  const salt = base64(text)
  const rounds = Number(count)
  if (salt === null || salt.length === 0) throw new ProtocolError('a SCRAM challenge that cannot be read')
  if (!nonce.startsWith(own) || nonce.length === own.length)
    throw new ProtocolError('a SCRAM challenge that is no answer to what was sent')
  if (rounds < 1 || rounds > mostRounds)
    throw new ProtocolError(`a SCRAM challenge with a number of rounds that is not from 1 to ${mostRounds}`)
  return { nonce, salt, rounds }
}

function base64(text: string): Buffer | null {
  return text.length % 4 === 0 && /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : null
}

/** What is hashed: a password of ASCII is its own form, and the tables for all others are loaded with the first of them. */
async function prepared(password: string): Promise<string> {
  if (/^[\x20-\x7e]*$/.test(password)) return password
  const { saslPrep } = await inRoot(() => import('./sasl-prep.ts'))
  return saslPrep(password)
}

function stretch(password: string, salt: Buffer, rounds: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    crypto().pbkdf2(password, salt, rounds, 32, 'sha256', (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}

function keyed(key: Buffer, text: string): Buffer {
  return crypto().createHmac('sha256', key).update(text).digest()
}

function xor(one: Buffer, other: Buffer): Buffer {
  return Buffer.from(one.map((byte, index) => byte ^ (other[index] as number)))
}
