import type { LiveHub } from './live-hub.ts'
import type { StreamLiveHub } from './stream-live-hub.ts'

/**
 * The stream hub, until the upstream turns out to have no service stream: from then on the other one. Subscriptions that wait
 * at that moment begin there.
 */
export function createFallbackLiveHub(stream: StreamLiveHub, other: LiveHub): LiveHub {
  const current = () => (stream.isForeign ? other : stream)
  return {
    // The state of an async function would take more memory for each subscription than the subscription.
    read: (request, reader, signal) =>
      stream
        .read(request, reader, signal)
        .then((isServed) => (isServed || signal.aborted ? undefined : other.read(request, reader, signal))),
    userIdOf: (principal) => current().userIdOf(principal),
    get knowsUsers() {
      return current().knowsUsers
    },
    directoryOf: (...asked) => current().directoryOf(...asked),
    entitiesOf: (credential, calls) => current().entitiesOf(credential, calls),
    called: (principal) => current().called(principal),
    actorFor: (userId) => current().actorFor(userId),
    get changes() {
      return current().changes
    },
    announceClosing: (retryWithinMs) => current().announceClosing(retryWithinMs),
    get size() {
      return current().size
    },
    streams: () => current().streams(),
    figures: () => current().figures(),
    close(error) {
      stream.close(error)
      other.close(error)
    },
  }
}
