// The shop in NestJS 12, on Express. `@nestjs/platform-fastify` serves the same modules.
import 'reflect-metadata'
import {
  type ArgumentsHost,
  Body,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  Inject,
  Injectable,
  Module,
  Param,
  ParseIntPipe,
  Post,
  type Type,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { type Db } from 'genever'
import { GeneverModule, InjectDb, Transactional } from 'genever/nest'
import { type Service } from '../shop/service.ts'
import { type Bottle, type Order, type Quote, type Shop, shopOf, SoldOut } from '../shop/shop.ts'

@Injectable()
class Orders {
  readonly #shop: Shop

  constructor(@InjectDb() db: Db) {
    this.#shop = shopOf(db)
  }

  onModuleInit(): Promise<void> {
    return this.#shop.create()
  }

  bottle(id: number): Promise<Bottle> {
    return this.#shop.bottle(id)
  }

  quote(id: number): Promise<Quote> {
    return this.#shop.quote(id)
  }

  @Transactional()
  async order(bottle: number, count: number): Promise<Order> {
    return this.#shop.order(bottle, count)
  }
}

@Catch(SoldOut)
class SoldOutFilter implements ExceptionFilter<SoldOut> {
  catch({ status, message }: SoldOut, host: ArgumentsHost): void {
    interface Answer {
      status(code: number): { json(body: object): void }
    }
    host.switchToHttp().getResponse<Answer>().status(status).json({ error: message })
  }
}

@Controller()
class ShopController {
  readonly #orders: Orders

  constructor(@Inject(Orders) orders: Orders) {
    this.#orders = orders
  }

  @Get('bottles/:id')
  bottle(@Param('id', ParseIntPipe) id: number): Promise<Bottle> {
    return this.#orders.bottle(id)
  }

  @Get('quotes/:id')
  quote(@Param('id', ParseIntPipe) id: number): Promise<Quote> {
    return this.#orders.quote(id)
  }

  @Post('orders')
  order(@Body() { bottle, count }: { bottle: number; count: number }): Promise<Order> {
    return this.#orders.order(bottle, count)
  }
}

function shopModule(databaseUrl: string): Type {
  @Module({
    imports: [GeneverModule.forRoot({ url: databaseUrl, pool: { max: 5 }, retry: { limit: 5 }, health: '/ready' })],
    controllers: [ShopController],
    providers: [Orders],
  })
  class ShopModule {}
  return ShopModule
}

export async function serve(databaseUrl: string, port = 3000): Promise<Service> {
  const app = await NestFactory.create(shopModule(databaseUrl), { logger: ['error', 'warn'], abortOnError: false })
  app.useGlobalFilters(new SoldOutFilter())
  await app.listen(port, '127.0.0.1')
  return { url: await app.getUrl(), close: () => app.close() }
}
