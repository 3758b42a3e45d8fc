import { andThen, type MaybePromise } from './directory.ts'
import type { Flow, Organization, User } from './model.ts'
import type { DirectoryReads, DirectoryUser, Memberships } from './service-directory.ts'

/**
 * What an operation need not ask the REST API for: it is as the REST API would give it to the principal at a moment after the
 * operation began. Undefined where that is not sure: it is read from the REST API then.
 */
export interface Entities {
  viewer(): MaybePromise<User | undefined>
  /** Null for a user whom the viewer may not see. */
  user(id: number): MaybePromise<User | null | undefined>
  /** Undefined also for a flow that the viewer has not joined. */
  flow(id: string): MaybePromise<Flow | undefined>
  flowByPath(path: string): MaybePromise<Flow | undefined>
  /** Without archived flows. */
  joinedFlows(): MaybePromise<readonly Flow[] | undefined>
  /** Undefined also for an organization that the viewer is not in. */
  organization(id: number): MaybePromise<Organization | undefined>
  organizations(): MaybePromise<readonly Organization[] | undefined>
}

export interface EntitiesOptions {
  readonly reads: DirectoryReads
  /** Whether the directory knows whatever was committed before this call. */
  readonly settle: () => Promise<boolean>
  /** The user of the credential; undefined while it is not known to be valid. */
  readonly viewerId: () => number | undefined
  /** Called once, before the operation waits for a read of the directory. */
  readonly onRead: () => void
}

type Account = DirectoryUser & { readonly memberships: Memberships }

/** The entities of one operation. */
export class PrincipalEntities implements Entities {
  readonly #options: EntitiesOptions
  #isSettled: MaybePromise<boolean> | undefined
  #hasRead = false
  #hasChanged = false
  /** A read of the directory failed or was not allowed, and the next one would fail as late. */
  #hasFailed = false
  /** The account of the viewer in this turn of the event loop: a list of messages asks for many users at once. */
  #present: Account | undefined

  constructor(options: EntitiesOptions) {
    this.#options = options
  }

  /** The operation changes something: what it reads from now on has to show that. */
  changed(): void {
    this.#hasChanged = true
  }

  viewer(): MaybePromise<User | undefined> {
    return this.#as(({ user }) => user)
  }

  user(id: number): MaybePromise<User | null | undefined> {
    const me = this.#present
    // A list of messages asks for a hundred users, nearly all of which are known.
    if (me !== undefined && this.#isSettled === true && this.#isUsable) {
      const found = this.#options.reads.user(id)
      return found instanceof Promise ? this.#as(() => this.#seen(me, found)) : seenBy(me, found)
    }
    return this.#as((account) => this.#seen(account, this.#options.reads.user(id)))
  }

  #seen(me: Account, reading: MaybePromise<DirectoryUser | null>): MaybePromise<User | null | undefined> {
    return andThen(this.#read(reading), (found) => seenBy(me, found))
  }

  flow(id: string): MaybePromise<Flow | undefined> {
    return this.#as((me) => this.#flowOf(me, id))
  }

  flowByPath(path: string): MaybePromise<Flow | undefined> {
    return this.#as((me) => {
      const id = this.#options.reads.flowIdAt(path)
      const flow = id === undefined ? undefined : this.#flowOf(me, id)
      return andThen(flow, (found) => (found?.path === path ? found : this.#search(me, path)))
    })
  }

  joinedFlows(): MaybePromise<readonly Flow[] | undefined> {
    return this.#as((me) =>
      andThen(
        this.#all(me.memberships.joined, (id) => this.#flowOf(me, id)),
        (flows) => flows?.filter(({ isDisabled }) => isDisabled === false),
      ),
    )
  }

  organization(id: number): MaybePromise<Organization | undefined> {
    return this.#as((me) => (me.organizations.has(id) ? this.#organization(id) : undefined))
  }

  organizations(): MaybePromise<readonly Organization[] | undefined> {
    return this.#as((me) => this.#all([...me.organizations], (id) => this.#organization(id)))
  }

  /** Uses the account of the viewer, if everything is sure. After a read that failed, the operation reads the REST API. */
  #as<T>(use: (me: Account) => MaybePromise<T | undefined>): MaybePromise<T | undefined> {
    if (!this.#isUsable) return undefined
    this.#isSettled ??= this.#settle()
    try {
      const result = andThen(this.#isSettled, (isSettled) =>
        isSettled && this.#isUsable
          ? andThen(this.#account(), (me) => (me === undefined ? undefined : use(me)))
          : undefined,
      )
      return result instanceof Promise ? result.catch(() => this.#fail()) : result
    } catch {
      return this.#fail()
    }
  }

  get #isUsable(): boolean {
    return !this.#hasChanged && !this.#hasFailed
  }

  #fail(): undefined {
    this.#hasFailed = true
    return undefined
  }

  async #settle(): Promise<boolean> {
    const isSettled = await this.#options.settle()
    this.#isSettled = isSettled
    return isSettled
  }

  #account(): MaybePromise<Account | undefined> {
    if (this.#present !== undefined) return this.#present
    const id = this.#options.viewerId()
    if (id === undefined) return undefined
    return andThen(this.#read(this.#options.reads.user(id)), (found) => {
      // The credential may have ended during the read.
      if (found?.memberships === undefined || found.memberships.isDisabled || this.#options.viewerId() !== id)
        return undefined
      this.#present = found as Account
      queueMicrotask(() => {
        this.#present = undefined
      })
      return this.#present
    })
  }

  #flowOf({ memberships }: Account, id: string): MaybePromise<Flow | undefined> {
    if (!memberships.hasJoined(id)) return undefined
    return andThen(this.#read(this.#options.reads.flow(id)), (flow) =>
      flow === null
        ? undefined
        : andThen(this.#organization(flow.organization.id), (organization) =>
            organization === undefined ? undefined : viewedFlow(flow, organization, memberships),
          ),
    )
  }

  #organization(id: number): MaybePromise<Organization | undefined> {
    return andThen(this.#read(this.#options.reads.organization(id)), (found) => found ?? undefined)
  }

  /** Among all flows of the viewer, which are read by that. */
  #search(me: Account, path: string): MaybePromise<Flow | undefined> {
    return andThen(
      this.#all(me.memberships.joined, (id) => this.#flowOf(me, id)),
      (flows) => flows?.find((flow) => flow.path === path),
    )
  }

  /** Undefined when one of them is. */
  #all<Key, T>(
    keys: readonly Key[],
    find: (key: Key) => MaybePromise<T | undefined>,
  ): MaybePromise<readonly T[] | undefined> {
    const found = keys.map(find)
    const whole = (list: readonly (T | undefined)[]) =>
      list.includes(undefined) ? undefined : (list as readonly T[])
    return found.some((each) => each instanceof Promise)
      ? Promise.all(found).then(whole)
      : whole(found as (T | undefined)[])
  }

  #read<T>(value: MaybePromise<T>): MaybePromise<T> {
    if (value instanceof Promise && !this.#hasRead) {
      this.#hasRead = true
      try {
        this.#options.onRead()
      } catch (error) {
        value.catch(() => undefined)
        throw error
      }
    }
    return value
  }
}

function seenBy(viewer: Account, found: DirectoryUser | null): User | null | undefined {
  const isSeen = found !== null && sees(viewer, found)
  return isSeen === true ? found.user : isSeen === false ? null : undefined
}

/**
 * Whether the REST API would list a user for the viewer: users of the organizations that the viewer administers, those of the
 * viewer's flows, also if they left or were blocked there, and the viewer. Archived flows count.
 */
function sees(viewer: Account, { user, organizations, memberships }: DirectoryUser): boolean | undefined {
  if (user.id === viewer.user.id) return true
  if (memberships === undefined) return undefined
  for (const id of organizations) if (viewer.memberships.administers.has(id)) return true
  for (const id of memberships.joined) if (viewer.memberships.hasJoined(id)) return true
  for (const id of memberships.left) if (viewer.memberships.hasJoined(id)) return true
  return false
}

function viewedFlow(flow: Flow, organization: Organization, memberships: Memberships): Flow {
  return {
    ...flow,
    organization,
    isJoined: true,
    isOpen: memberships.hasOpen(flow.id),
    isAdmin: memberships.administers.has(organization.id),
    details: null,
    users: null,
  }
}
