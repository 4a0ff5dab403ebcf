// What Nest injects, and by which token: databases by the name of their module, models by themselves.
import { createParamDecorator, type ExecutionContext, Inject, type InjectionToken } from '@nestjs/common'
import { Db } from '../../db/db.ts'

/** A class made by `Model()`, or by extending one. */
export type ModelClassLike = abstract new (...given: never[]) => object

/** The token of a database: the class `Db` for the one without a name. */
export function getDbToken(name?: string): InjectionToken<Db> {
  return name === undefined ? Db : `genever:${name}`
}

/** @internal The token of what stands behind a database, for interceptors of routes. */
export function getHostToken(name: string | undefined): InjectionToken {
  return name === undefined ? 'genever:host' : `genever:${name}:host`
}

/** The token of a model of `forFeature`: the class itself. */
export function getModelToken(model: ModelClassLike): InjectionToken {
  return model as InjectionToken
}

/** A parameter or property that gets the database of that name: `constructor(@InjectDb() db: Db) {}`. */
export function InjectDb(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getDbToken(name))
}

/** A parameter or property that gets a model of `forFeature`: `constructor(@InjectModel(User) users: typeof User) {}`. */
export function InjectModel(model: ModelClassLike): ParameterDecorator & PropertyDecorator {
  return Inject(getModelToken(model))
}

const fromRequest = createParamDecorator((name: string, context: ExecutionContext): unknown => {
  const request: Record<string, unknown> = context.switchToHttp().getRequest()
  return request[name]
})

/** A parameter of an HTTP handler that gets the connection of its request. `name` is that of the option `as`. */
export function RequestConnection(name = 'db'): ParameterDecorator {
  return fromRequest(name)
}
