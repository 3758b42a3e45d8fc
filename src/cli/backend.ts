import { startBackend } from '../backend/index.ts'
import { ConfigError, readConfig } from '../config.ts'
import { explain } from './serve.ts'

/** Runs the Flowdock-compatible backend alone, until it is told to stop. Resolves with the exit code. */
export async function backend(
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const { upstream } = readConfig(environment)
  if (upstream.kind === 'remote')
    throw new ConfigError(['FLOWDOCK_API_URL: names another backend; unset it to run this one'])
  const { host, port, dataDir, demoToken } = upstream
  const running = await startBackend({ host, port, dataDir, demoToken }, (message) => print(message)).catch(
    (error: unknown) => {
      throw explain(error, dataDir)
    },
  )
  print(`  Flowdock API ${running.url}\n  Streaming    ${running.url}/stream/flows`)
  return new Promise((resolve) => {
    const stop = () => {
      running.close().then(
        () => resolve(0),
        () => resolve(1),
      )
    }
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
  })
}
