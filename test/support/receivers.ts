import type { Audience, Audiences } from '../../src/events/audience.ts'
import type { Reader } from '../../src/events/reader.ts'

/** The readers that receive events as they come, as the effects of a hub say it. */
export class Receivers {
  readonly #audiences = new Map<Reader, ReadonlySet<Audience>>()

  get size(): number {
    return this.#audiences.size
  }

  set(reader: Reader, audiences: ReadonlySet<Audience>): void {
    this.#audiences.set(reader, audiences)
  }

  delete(reader: Reader): void {
    this.#audiences.delete(reader)
  }

  audiencesOf(reader: Reader): ReadonlySet<Audience> | undefined {
    return this.#audiences.get(reader)
  }

  /** Those who receive what is sent to some audiences. */
  of(sentTo: Audiences): Reader[] {
    return [...this.#audiences].flatMap(([reader, audiences]) =>
      sentTo === 'all' || sentTo.some((audience) => audiences.has(audience)) ? [reader] : [],
    )
  }
}
