/** Runs a driver in a process of Node.js: methods are called by messages. */
import type { Driver } from './drivers/driver.ts'

const [, , file = '', url = '', token = ''] = process.argv
const { createDriver } = await import(file)
const driver: Driver = createDriver(url, token)

process.on('message', ({ id, method, args }: { id: number; method: keyof Driver; args: string[] }) => {
  const act: (...args: string[]) => unknown = driver[method]
  void Promise.resolve(act(...args)).then((value) => process.send?.({ id, value }))
})
process.send?.('ready')
