// The process of one server of `bench/request.ts`: says its port, and what processor time it has used whenever it is asked.
import { frameworks, handlersOf, type WebSide } from './web-frameworks.ts'

const [framework = '', side = 'bare', url = ''] = process.argv.slice(2)
const start = frameworks[framework]
if (start === undefined) throw new Error(`There is no framework ${framework}`)
const { port } = await start(await handlersOf(side as WebSide, url))

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.((user + system) / 1000)
})
process.on('disconnect', () => process.exit())
process.send?.(port)
