/** The gateway as a part of another program: `await startApp(readConfig({ PORT: '4000' }))`. */
import * as app from './app.ts'
import type { Config } from './config.ts'

export { type Config, ConfigError, readConfig } from './config.ts'

/** A gateway that runs. */
export interface RunningApp {
  /** The URL of the gateway, without a trailing slash. */
  readonly url: string
  /** The URL of the upstream's REST API. */
  readonly restUrl: string
  /** The URL of the upstream's streaming API. */
  readonly streamUrl: string
  /** The token of the demo user; null unless the embedded backend has one. */
  readonly demoToken: string | null
  /** Stops: refuses new requests, finishes those in flight, and closes every connection. */
  close(): Promise<void>
}

/**
 * Starts the gateway and, unless another upstream is configured, the embedded backend.
 *
 * @param config the settings, from `readConfig`
 */
export async function startApp(config: Config): Promise<RunningApp> {
  const { url, restUrl, streamUrl, demoToken, close } = await app.startApp(config)
  return { url, restUrl, streamUrl, demoToken, close }
}
