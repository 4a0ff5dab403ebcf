/** Which hash of a certificate a login is bound to, read from the certificate itself. */
import { createHash, X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { endPointOf, hashOf } from '../../src/driver/socket/end-point.ts'
import { certificate } from '../support/certificate.ts'

/** Self-signed, made by OpenSSL, in DER and base64. */
const certificates: readonly (readonly [signature: string, hash: string | null, der: string])[] = [
  [
    'RSA with SHA-512',
    'sha512',
    'MIIB9jCCAV+gAwIBAgIUcMG82JvmyFLzfVPeWOxKtjZUkAIwDQYJKoZIhvcNAQENBQAwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjgx' +
      'MzM3MTFaGA8yMTI2MTEwNDEzMzcxMVowDDEKMAgGA1UEAwwBdDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA6MC2ZSQQpKu0' +
      'Qfzr9yKX46fD9sritLdlAEWrbGrkDWwnWD4xq9Ul/4uVa8nX5LUwQtMgBQ4X+wDSKqGgTPxUXt+16xacOp0jEBf6NOIteYzynoT4' +
      'BOISD3VXuu+aiX/Qw0xfekzf/eWJnb0XChPEjwEmacGossYXoEBra+aphv8CAwEAAaNTMFEwHQYDVR0OBBYEFPtKmhVJCv6TupW+' +
      'khB3+BP+qiicMB8GA1UdIwQYMBaAFPtKmhVJCv6TupW+khB3+BP+qiicMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQENBQAD' +
      'gYEAmvw79QUMhAvE7/6xvk86U9+9m35vsW7453bcBHwe7GLp63roY/wMDcag+4i0Zk+ezOxnFtA7DSNkRSfERdBwKRvfZJtf2S4i' +
      'nJ0FD9rMNfHHqbcsR6HuLpqAJ1S7qo2QzkngSC9Ep9v4S1Mko8hxcffqo9RDydFNAP2SGm+KFuY=',
  ],
  [
    'RSASSA-PSS with SHA-512',
    'sha512',
    'MIICXjCCAZOgAwIBAgIUDfowuKYJQKZOLcrxzo1uPhtjazUwQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgMFAKEcMBoGCSqG' +
      'SIb3DQEBCDANBglghkgBZQMEAgMFAKIDAgE+MAwxCjAIBgNVBAMMAXQwIBcNMjYxMTI4MTMzNzExWhgPMjEyNjExMDQxMzM3MTFa' +
      'MAwxCjAIBgNVBAMMAXQwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAOjAtmUkEKSrtEH86/cil+Onw/bK4rS3ZQBFq2xq5A1s' +
      'J1g+MavVJf+LlWvJ1+S1MELTIAUOF/sA0iqhoEz8VF7ftesWnDqdIxAX+jTiLXmM8p6E+ATiEg91V7rvmol/0MNMX3pM3/3liZ29' +
      'FwoTxI8BJmnBqLLGF6BAa2vmqYb/AgMBAAGjUzBRMB0GA1UdDgQWBBT7SpoVSQr+k7qVvpIQd/gT/qoonDAfBgNVHSMEGDAWgBT7' +
      'SpoVSQr+k7qVvpIQd/gT/qoonDAPBgNVHRMBAf8EBTADAQH/MEEGCSqGSIb3DQEBCjA0oA8wDQYJYIZIAWUDBAIDBQChHDAaBgkq' +
      'hkiG9w0BAQgwDQYJYIZIAWUDBAIDBQCiAwIBPgOBgQC/os7AyoBWjrRsJmv5/XnoLomMAMRwgjHygBv52Dyn+i816ngGRutrI3Dc' +
      '3c0qqFuZGQtn55pQJ9W8GvTxu8caMSXqOEKsTdZb9Kwt98XZZrmt/wKmhTL9hu52hgjecuUvOXsZf9nKzQ9kvhXov2j9SX2jOoge' +
      'VUZH/slUWrNgyQ==',
  ],
  [
    'RSASSA-PSS with SHA-1, for which SHA-256 stands',
    'sha256',
    'MIICADCCAWSgAwIBAgIUMFg2X99lNYRQ+tMq8d7xTk7U7FwwEgYJKoZIhvcNAQEKMAWiAwIBajAMMQowCAYDVQQDDAF0MCAXDTI2' +
      'MTEyODEzMzcxMVoYDzIxMjYxMTA0MTMzNzExWjAMMQowCAYDVQQDDAF0MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDowLZl' +
      'JBCkq7RB/Ov3Ipfjp8P2yuK0t2UARatsauQNbCdYPjGr1SX/i5VrydfktTBC0yAFDhf7ANIqoaBM/FRe37XrFpw6nSMQF/o04i15' +
      'jPKehPgE4hIPdVe675qJf9DDTF96TN/95YmdvRcKE8SPASZpwaiyxhegQGtr5qmG/wIDAQABo1MwUTAdBgNVHQ4EFgQU+0qaFUkK' +
      '/pO6lb6SEHf4E/6qKJwwHwYDVR0jBBgwFoAU+0qaFUkK/pO6lb6SEHf4E/6qKJwwDwYDVR0TAQH/BAUwAwEB/zASBgkqhkiG9w0B' +
      'AQowBaIDAgFqA4GBAAvsVISCqqfpMSas0p7FlXY/OTUii4YeN+9LdULZGSvDsX8sMDi5JaEnkPQl5/7bZc5+htDPRJxO58x/q4oq' +
      'VuHcUnpuO7wrvfTndmlGRLLSzoCPKrCxe8qFHpkNE+N/4/zqbJEzsQ/9qkVGv+aLU6PeFgj6RB9ohjdTW+ySM82R',
  ],
  [
    'ECDSA with SHA-384',
    'sha384',
    'MIIBbjCCARWgAwIBAgIUBdMTX//s0DoYEv87j8rQjG/zqnEwCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjgxMzM3' +
      'MTFaGA8yMTI2MTEwNDEzMzcxMVowDDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMUCkwMPn+ZlqT5BpBNx' +
      'JxVbkbxZ+G+IPeSwoN79+u0Js1hZalKqiWOUHWkNcFVUXPbEaYWHJWG42kSjU5V7mT2jUzBRMB0GA1UdDgQWBBTAu7QmlZCJTnqe' +
      'nVrQ8xpjuNDThzAfBgNVHSMEGDAWgBTAu7QmlZCJTnqenVrQ8xpjuNDThzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMDA0cA' +
      'MEQCIH55EvYDpULEqHmvWEionYYWgI3WbD2nwekXH7EgG7JWAiBY1a+5VR4kjbALp+WInpGXxGbVe8OSIj2dyaNQkIdj3w==',
  ],
  [
    'ECDSA with SHA-1, for which SHA-256 stands',
    'sha256',
    'MIIBbjCCARSgAwIBAgIUR8Yy3lUbC0FKb7897BCj41qKsZUwCQYHKoZIzj0EATAMMQowCAYDVQQDDAF0MCAXDTI2MTEyODEzMzcx' +
      'MVoYDzIxMjYxMTA0MTMzNzExWjAMMQowCAYDVQQDDAF0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExQKTAw+f5mWpPkGkE3En' +
      'FVuRvFn4b4g95LCg3v367QmzWFlqUqqJY5QdaQ1wVVRc9sRphYclYbjaRKNTlXuZPaNTMFEwHQYDVR0OBBYEFMC7tCaVkIlOep6d' +
      'WtDzGmO40NOHMB8GA1UdIwQYMBaAFMC7tCaVkIlOep6dWtDzGmO40NOHMA8GA1UdEwEB/wQFMAMBAf8wCQYHKoZIzj0EAQNJADBG' +
      'AiEA53R5MYd+xJEd5BgsiegVxgWgcimaU0Y2/BnKTVY+hjUCIQCh1ujggJfuj5WtZdBZeq61kozc246SItP2jqZ5vcVgbg==',
  ],
  [
    'Ed25519, which has no hash',
    null,
    'MIIBLjCB4aADAgECAhRx8fCHq1AnbUd8GVt90f1plSfFyDAFBgMrZXAwDDEKMAgGA1UEAwwBdDAgFw0yNjExMjgxMzM3MTFaGA8y' +
      'MTI2MTEwNDEzMzcxMVowDDEKMAgGA1UEAwwBdDAqMAUGAytlcAMhAOLom/1kuGOz6xTA+BegxjByO2g5/w0mLp0GTwYH8VsMo1Mw' +
      'UTAdBgNVHQ4EFgQU1bsn2rLyb6qFHiBURFJpmAKj9vgwHwYDVR0jBBgwFoAU1bsn2rLyb6qFHiBURFJpmAKj9vgwDwYDVR0TAQH/' +
      'BAUwAwEB/zAFBgMrZXADQQAHdDNP+057HhtK9nGFHLJfxvunPHda9+JHkjTbHdhOHdhc7DPgODZ2OMymtFEoDLfgLtFSG/iOOtta' +
      'EWjUu0MJ',
  ],
]

test.each(certificates)('a certificate signed by %s', (_, hash, text) => {
  const der = Buffer.from(text, 'base64')

  expect(hashOf(der)).toBe(hash)
  expect(endPointOf(der)).toEqual(hash === null ? null : createHash(hash).update(der).digest())
})

test('a certificate as a server gives it', () => {
  const { raw } = new X509Certificate(certificate)
  expect(endPointOf(raw)).toEqual(createHash('sha256').update(raw).digest())
})

test('bytes that are no certificate have no hash, wherever they end', () => {
  for (const [, , text] of certificates) {
    const der = Buffer.from(text, 'base64')
    for (let size = 0; size < der.length; size++) expect(hashOf(der.subarray(0, size))).toBeNull()
  }
  expect(hashOf(Buffer.from('3084ffffffff', 'hex'))).toBeNull()
})
