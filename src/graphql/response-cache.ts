import { LRUCache } from 'lru-cache'

/** Answers that are still what would be answered. */
export interface ResponseCache {
  /** @param mark how things stand for the caller: an answer of another time is none */
  find(key: string, mark: number): string | undefined
  keep(key: string, mark: number, text: string): void
  state(): { readonly answers: number; readonly bytes: number; readonly found: number; readonly kept: number }
}

interface Kept {
  readonly mark: number
  readonly text: string
  readonly until: number
}

/** How much is kept in all, and of one answer: as characters, most of which are a byte. */
const maxCharacters = 32 * 1024 * 1024
const maxAnswerCharacters = 2 * 1024 * 1024

/** @param maxAgeMs how old an answer may be, whatever its mark says: not everything is told as it happens */
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
