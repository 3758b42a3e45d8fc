import { startBackend } from '../backend/index.ts'
import { ConfigError, dataLocation, readConfig } from '../config.ts'
import { sleep } from '../sleep.ts'
import { createLogger } from '../telemetry/log.ts'
import { runUntilStopped } from './run-until-stopped.ts'
import { explain, thingsLine } from './serve.ts'

/** Runs the Flowdock-compatible backend alone until a signal stops it. Resolves with the exit code. */
export async function backend(
  environment: NodeJS.ProcessEnv,
  print: (text: string) => void,
): Promise<number> {
  const { upstream, logLevel, shutdown } = readConfig(environment)
  if (upstream.kind === 'remote')
    throw new ConfigError(['FLOWDOCK_API_URL: names another backend; unset it to run this one'])
  const log = createLogger(logLevel)
  return runUntilStopped(async () => {
    const running = await startBackend(
      {
        ...upstream,
        ...dataLocation(upstream),
        natsUrl: upstream.natsUrl?.reveal(),
        demoHistory: true,
        serviceTokens: upstream.serviceTokens.map((token) => token.reveal()),
      },
      (message) => log.error(message),
      (message) => log.warn(message),
    ).catch((error: unknown) => {
      throw explain(error, upstream)
    })
    print(
      [
        `  Flowdock API ${running.url}`,
        `  Streaming    ${running.url}/stream/flows`,
        ...(running.things === null ? [] : [thingsLine(running.things)]),
      ].join('\n'),
    )
    return {
      async close() {
        running.announceClosing()
        await sleep(shutdown.delayMs)
        await running.close()
      },
    }
  })
}
