import { isDeepStrictEqual } from 'node:util'
import { andThen, type MaybePromise } from './directory.ts'
import type { Flowdock } from './index.ts'
import type { Loaders } from './loaders.ts'
import type { MessagePage } from './messages.ts'
import type { Flow, Message, Organization, User } from './model.ts'

type ListedMessages = Awaited<ReturnType<Loaders['messages']>>

interface ReadPage {
  readonly channel: string
  readonly page: MessagePage
  /** Only pages that are kept elsewhere can be read again, and those have a bound. */
  readonly items: WeakRef<readonly Message[]>
  readonly sent: number
  readonly at: string | undefined
  /** Whether the execution used `at`, which changes with each event of the upstream. */
  isAtUsed: boolean
}

/** Objects that were read by one kind of key. */
type ReadObjects<Key, T> = Map<Key, T | null>

/**
 * What an execution read of the upstream: flows, organizations, users, and pages of messages of flows. After any other read it is
 * not complete. It has what the loaders returned, which nobody changes.
 */
export class RecordedReads {
  readonly #users: ReadObjects<number, User> = new Map()
  readonly #organizations: ReadObjects<number, Organization> = new Map()
  readonly #flows: ReadObjects<string, Flow> = new Map()
  readonly #flowsByPath: ReadObjects<string, Flow> = new Map()
  readonly #pages: ReadPage[] = []
  #isComplete = true

  /** Without a page of messages, reading takes as long as executing. */
  get isComplete(): boolean {
    return this.#isComplete && this.#pages.length > 0
  }

  /** The execution used something that is not recorded. */
  spoil(): void {
    this.#isComplete = false
  }

  /** The same upstream, whose reads are recorded. */
  record(flowdock: Flowdock): Flowdock {
    const { load } = flowdock
    const recorded: Partial<Loaders> = {
      user: (id) => this.#note(this.#users, id, load.user(id)),
      organization: (id) => this.#note(this.#organizations, id, load.organization(id)),
      flow: (id) => this.#note(this.#flows, id, load.flow(id)),
      flowByPath: (path) => this.#note(this.#flowsByPath, path, load.flowByPath(path)),
      // A page that is expected and not used has no part in the result.
      expectMessages: (channel, page, hasAuthors) => load.expectMessages(channel, page, hasAuthors),
      messages: async (channel, threadId, page) => {
        const listed = await load.messages(channel, threadId, page)
        if (threadId === undefined) return this.#notePage(channel, page, listed)
        this.spoil()
        return listed
      },
    }
    const loaders = this.#spoiling(load, recorded)
    return this.#spoiling(flowdock, { load: loaders })
  }

  /** Makes the reads again. Whether all of them return the same. @throws the error of a read */
  async repeat(load: Loaders): Promise<boolean> {
    const hasUsers = this.#users.size > 0
    for (const { channel, page } of this.#pages) load.expectMessages(channel, page, () => hasUsers)
    const flows = [
      areSame(this.#flowsByPath, (path) => load.flowByPath(path)),
      areSame(this.#flows, (id) => load.flow(id)),
    ]
    if (!(await areAll(flows))) return false
    const pages = await Promise.all(
      this.#pages.map(({ channel, page }) => load.messages(channel, undefined, page)),
    )
    if (!this.#pages.every((page, index) => isSamePage(page, pages[index] as ListedMessages))) return false
    return areAll([
      areSame(this.#users, (id) => load.user(id)),
      areSame(this.#organizations, (id) => load.organization(id)),
    ])
  }

  #note<Key, T extends object>(
    objects: ReadObjects<Key, T>,
    key: Key,
    reading: MaybePromise<T | null>,
  ): MaybePromise<T | null> {
    return andThen(reading, (read) => {
      const before = objects.get(key)
      if (before !== undefined && before !== read && !isDeepStrictEqual(before, read)) this.spoil()
      objects.set(key, read)
      return read
    })
  }

  #notePage(channel: string, page: MessagePage, { items, sent, at }: ListedMessages): ListedMessages {
    const read: ReadPage = { channel, page, items: new WeakRef(items), sent, at, isAtUsed: false }
    this.#pages.push(read)
    return {
      items,
      sent,
      get at() {
        read.isAtUsed = true
        return at
      },
    }
  }

  /** An object with some members replaced. The use of any other member is not recorded. */
  #spoiling<T extends object>(original: T, members: Partial<T>): T {
    return new Proxy(original, {
      get: (target, name) => {
        if (Object.hasOwn(members, name)) return Reflect.get(members, name)
        this.spoil()
        return Reflect.get(target, name)
      },
    })
  }
}

function areAll(answers: readonly MaybePromise<boolean>[]): MaybePromise<boolean> {
  return answers.some((answer) => answer instanceof Promise)
    ? Promise.all(answers).then((all) => !all.includes(false))
    : !answers.includes(false)
}

/** Reads all objects again, at once. An object that is equal to the one before takes its place. */
function areSame<Key, T extends object>(
  objects: ReadObjects<Key, T>,
  read: (key: Key) => MaybePromise<T | null>,
): MaybePromise<boolean> {
  let reading: Promise<boolean>[] | undefined
  let isSame = true
  const compare = (key: Key, before: T | null, now: T | null) => {
    if (now === before) return true
    if (!isDeepStrictEqual(now, before)) return false
    objects.set(key, now)
    return true
  }
  for (const [key, before] of objects) {
    const now = read(key)
    if (now instanceof Promise) {
      reading ??= []
      reading.push(now.then((value) => compare(key, before, value)))
    } else if (!compare(key, before, now)) {
      isSame = false
      break
    }
  }
  if (reading === undefined) return isSame
  return Promise.all(reading).then((all) => isSame && !all.includes(false))
}

function isSamePage({ items, sent, at, isAtUsed }: ReadPage, now: ListedMessages): boolean {
  return now.items === items.deref() && now.sent === sent && (!isAtUsed || now.at === at)
}
