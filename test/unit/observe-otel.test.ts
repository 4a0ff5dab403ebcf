import type * as api from '@opentelemetry/api'
import { expectTypeOf } from 'expect-type'
import { instrument, type OtelMeter, type OtelTracer } from 'genever/otel'
import { describe, expect, test } from 'vitest'
import { errorAttributes, serverAttributes, spanName, queryText } from '../../src/observe/otel/attributes.ts'
import { withoutLiterals } from '../../src/observe/channels.ts'

describe('the text of a statement', () => {
  test('with parameters goes as it is, without any its literals are taken out', () => {
    expect(queryText(`select 'a' where b = $1`, 1)).toBe(`select 'a' where b = $1`)
    expect(queryText(`select 'a' where b = 1`, 0)).toBe('select ? where b = ?')
    expect(queryText(`select 'a' where b = 1`, 0)).toBe('select ? where b = ?')
  })

  test.each([
    [`select 'it''s', E'it\\'s', $$it's$$, $q$it's $$ $q$`, 'select ?, ?, ?, ?'],
    ['select 1, 1.5, .5, 1e10, 0xFF, -3, 1_000', 'select ?, ?, ?, ?, ?, -?, ?'],
    ['select "col 1", t1.c2, $1, x3 from "it\'s"', 'select "col 1", t1.c2, $1, x3 from "it\'s"'],
    [`select 1 -- user 'bob'\n, 2 /* id 7 */`, 'select ?  \n, ?  '],
    [`select 'never closed`, 'select ?'],
    ['select $$never closed', 'select ?'],
    ['select /* never closed', 'select  '],
    [`select B'101', X'1F', U&'d'`, 'select B?, X?, U&?'],
    ['', ''],
  ])('%s', (sql, text) => {
    expect(withoutLiterals(sql)).toBe(text)
  })

  test('is cut when it is very long', () => {
    expect(queryText(`select '${'x'.repeat(5_000_000)}`, 0).length).toBeLessThan(100)
    expect(queryText(`select $1, ${`'`.repeat(5_000_000)}`, 1).length).toBeLessThan(11_000)
    expect(queryText('$a'.repeat(5_000), 0).length).toBeLessThan(11_000)
    expect(queryText(`'\\`.repeat(5_000), 0).length).toBeLessThan(11_000)
  })
})

test('the name of a span is the operation and what is known of its target', () => {
  const server = { system: 'postgresql' } as const

  expect(spanName('SELECT', { ...server, database: 'shop', address: 'db' })).toBe('SELECT shop')
  expect(spanName('SELECT', { ...server, address: 'db', port: 5432 })).toBe('SELECT db:5432')
  expect(spanName('SELECT', { ...server, address: '/run' })).toBe('SELECT /run')
  expect(spanName('SELECT', server)).toBe('SELECT')
  expect(spanName('', { ...server, database: 'shop' })).toBe('shop')
  expect(spanName('', server)).toBe('postgresql')
})

test('attributes leave out what is not known, and tell an SQLSTATE from a kind of failure', () => {
  expect(serverAttributes({ system: 'mysql' })).toEqual({ 'db.system.name': 'mysql' })
  expect(errorAttributes(undefined)).toEqual({})
  expect(errorAttributes('timeout')).toEqual({ 'error.type': 'timeout' })
  expect(errorAttributes('0A000')).toEqual({ 'error.type': '0A000', 'db.response.status_code': '0A000' })
})

test("tracers and meters are those of OpenTelemetry's own API", () => {
  expectTypeOf<api.Tracer>().toMatchTypeOf<OtelTracer>()
  expectTypeOf<api.Meter>().toMatchTypeOf<OtelMeter>()
  expectTypeOf(instrument).toBeCallableWith({ tracer: {} as api.Tracer, meter: {} as api.Meter })
})
