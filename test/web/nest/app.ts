/** What the tests of `genever/nest` start: applications on either platform, quiet, on a free port. */

import 'reflect-metadata'
import type { Server } from 'node:http'
import { type DynamicModule, type INestApplication, type LoggerService, Module, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'

export type Platform = 'express' | 'fastify'
export const platforms: readonly Platform[] = ['express', 'fastify']

export interface Parts {
  readonly imports?: (DynamicModule | Type)[]
  readonly controllers?: Type[]
  readonly providers?: NonNullable<DynamicModule['providers']>
}

/** Of a response, what both platforms have. */
export interface Sender {
  status(code: number): Sender
  send(body: unknown): unknown
}

export interface Lines extends LoggerService {
  readonly lines: string[]
}

/** A logger of Nest that keeps what it is told, without what Nest itself says while it starts. */
export function logger(): Lines {
  const lines: string[] = []
  const keep =
    (level: string) =>
    (message: unknown, ...more: unknown[]): void => {
      if (level !== 'log' || more.at(-1) === 'Genever') lines.push(`${level} ${String(message)}`)
    }
  return { lines, log: keep('log'), warn: keep('warn'), error: keep('error') }
}

/** A module of its own for these parts. */
export function moduleOf(parts: Parts): Type {
  class App {}
  Module({ ...parts })(App)
  return App
}

/** Made, but not started. */
export function create(
  platform: Platform,
  parts: Parts,
  log: LoggerService | false = false,
): Promise<INestApplication> {
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter({ forceCloseConnections: 'idle' })
  return NestFactory.create(moduleOf(parts), adapter, { logger: log, abortOnError: false })
}

export interface Listening extends AsyncDisposable {
  readonly nest: INestApplication
  readonly port: number
  readonly server: Server
}

export async function listen(nest: INestApplication): Promise<Listening> {
  await nest.listen(0, '127.0.0.1')
  const server = nest.getHttpServer() as Server
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port')
  server.keepAliveTimeout = 120_000
  return {
    nest,
    port: address.port,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await nest.close()
    },
  }
}

export async function start(platform: Platform, parts: Parts, log: LoggerService | false = false): Promise<Listening> {
  return listen(await create(platform, parts, log))
}
