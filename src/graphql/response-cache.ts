import { LRUCache } from 'lru-cache'

/** Responses that are still valid. */
export interface ResponseCache {
  /** @param mark the version of what the principal can see; a response of another version is not found */
  find(key: string, mark: number): string | undefined
  keep(key: string, mark: number, text: string): void
  state(): { readonly answers: number; readonly bytes: number; readonly found: number; readonly kept: number }
}

interface Kept {
  readonly mark: number
  readonly text: string
  readonly until: number
}

/** Bounds of all responses and of one, in characters, most of which are a byte. */
const maxCharacters = 32 * 1024 * 1024
const maxAnswerCharacters = 2 * 1024 * 1024

/** @param maxAgeMs how long a response is valid at most: not every change of the upstream is an event */
export function createResponseCache(maxAgeMs: number, now: () => number = Date.now): ResponseCache {
  const answers = new LRUCache<string, Kept>({
    maxSize: maxCharacters,
    maxEntrySize: maxAnswerCharacters,
    sizeCalculation: ({ text }, key) => text.length + key.length + 1,
  })
  let found = 0
  let kept = 0
  return {
    find(key, mark) {
      const answer = answers.get(key)
      if (answer === undefined) return undefined
      if (answer.mark !== mark || answer.until <= now()) {
        answers.delete(key)
        return undefined
      }
      found += 1
      return answer.text
    },
    keep(key, mark, text) {
      kept += 1
      answers.set(key, { mark, text, until: now() + maxAgeMs })
    },
    state: () => ({ answers: answers.size, bytes: answers.calculatedSize, found, kept }),
  }
}
