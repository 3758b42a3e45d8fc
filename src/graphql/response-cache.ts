import { LRUCache } from 'lru-cache'
import { CachedBody } from './cached-body.ts'

/** Responses that are still valid. */
export interface ResponseCache {
  /** @param version the version of what the principal can see; a response of another version is not found */
  find(key: string, version: number): CachedBody | undefined
  store(key: string, version: number, text: string): void
  state(): {
    readonly entries: number
    readonly bytes: number
    readonly hits: number
    readonly stores: number
  }
}

interface Entry {
  readonly version: number
  readonly body: CachedBody
  readonly characters: number
  readonly until: number
}

/** Bounds of all responses and of one, in characters, most of which are a byte. Compressed copies are not counted. */
const maxCharacters = 32 * 1024 * 1024
const maxAnswerCharacters = 2 * 1024 * 1024

/** @param maxAgeMs how long a response is valid at most: not every change of the upstream is an event */
export function createResponseCache(maxAgeMs: number, now: () => number = Date.now): ResponseCache {
  const answers = new LRUCache<string, Entry>({
    maxSize: maxCharacters,
    maxEntrySize: maxAnswerCharacters,
    sizeCalculation: ({ characters }, key) => characters + key.length + 1,
  })
  let hits = 0
  let stores = 0
  return {
    find(key, version) {
      const answer = answers.get(key)
      if (answer === undefined) return undefined
      if (answer.version !== version || answer.until <= now()) {
        answers.delete(key)
        return undefined
      }
      hits += 1
      return answer.body
    },
    store(key, version, text) {
      stores += 1
      answers.set(key, {
        version,
        body: new CachedBody(text),
        characters: text.length,
        until: now() + maxAgeMs,
      })
    },
    state: () => ({ entries: answers.size, bytes: answers.calculatedSize, hits, stores }),
  }
}
