/*
 * Who may do what with flowthings: the rules that test/hardening/things-access.test.ts holds the server to. Nothing here knows
 * how the server decides.
 */

export const accountNames = ['alice', 'bob', 'eve'] as const
export type AccountName = (typeof accountNames)[number]

type Paths = Readonly<Record<string, Readonly<Record<string, boolean>>>>

/** A master token, or a token with paths. */
export interface Credential {
  readonly name: string
  readonly account: AccountName
  readonly token: string
  /** The id of a token with paths. */
  readonly id?: string
  readonly paths?: Paths
}

interface Token extends Credential {
  readonly id: string
  readonly paths: Paths
}

interface Flow {
  readonly id: string
  readonly account: AccountName
  path: string
  readonly texts: string[]
}

interface Group {
  readonly id: string
  readonly account: AccountName
  members: Set<AccountName>
}

interface Share {
  readonly id: string
  readonly from: AccountName
  readonly to: AccountName | Group
  readonly paths: Paths
}

type Right = 'read' | 'write' | 'dropRead' | 'dropWrite' | 'administer'

export class ThingsModel {
  readonly flows = new Map<string, Flow>()
  readonly tokens: Token[] = []
  readonly groups: Group[] = []
  readonly shares: Share[] = []
  readonly masters: Record<AccountName, Credential>

  constructor(tokens: Record<AccountName, string>) {
    this.masters = Object.fromEntries(
      accountNames.map((name) => [name, { name: `master of ${name}`, account: name, token: tokens[name] }]),
    ) as Record<AccountName, Credential>
  }

  /** All that are valid. */
  get credentials(): readonly Credential[] {
    return [...accountNames.map((name) => this.masters[name]), ...this.tokens]
  }

  master(account: AccountName): Credential {
    return this.masters[account]
  }

  /** @returns the one that is not valid any more */
  replaceMaster(account: AccountName, token: string): Credential {
    const before = this.masters[account]
    this.masters[account] = { ...before, token }
    return before
  }

  draftToken(id: string, account: AccountName, token: string, paths: Paths): Token {
    return { name: `token ${JSON.stringify(paths)} of ${account}`, ...{ id, account, token, paths } }
  }

  addToken(id: string, account: AccountName, token: string, paths: Paths): void {
    this.tokens.push(this.draftToken(id, account, token, paths))
  }

  removeToken(token: Token): void {
    this.tokens.splice(this.tokens.indexOf(token), 1)
  }

  isValid(credential: Credential): boolean {
    return this.credentials.includes(credential)
  }

  addFlow(id: string, path: string, by: Credential): void {
    this.flows.set(id, { id, path, account: ownerOf(path) ?? by.account, texts: [] })
  }

  rights(credential: Credential, flow: Pick<Flow, 'account' | 'path'>): Record<Right, boolean> {
    if (credential.paths !== undefined) {
      if (flow.account !== credential.account) return all(false)
      // A token writes nothing but drops.
      return { ...rightsIn([credential.paths], flow.path), write: false, administer: false }
    }
    if (flow.account === credential.account) return all(true)
    const shares = this.shares.filter(
      ({ from, to }) =>
        from === flow.account &&
        (typeof to === 'string' ? to === credential.account : to.members.has(credential.account)),
    )
    return rightsIn(
      shares.map(({ paths }) => paths),
      flow.path,
    )
  }

  /** The status of what needs a right: what one may not see in another account is not there. */
  status(credential: Credential, flow: Flow, right: Right, isByPath = false): number {
    const rights = this.rights(credential, flow)
    if (rights[right]) return 200
    const isForeign = flow.account !== credential.account
    if (isForeign && !rights.read) return isByPath ? 400 : 404
    return 403
  }

  creation(credential: Credential, path: string): number {
    if (credential.paths !== undefined) return 403
    const account = ownerOf(path) ?? credential.account
    if (!this.rights(credential, { account, path }).write) return 403
    return this.isTaken(account, path) ? 400 : 201
  }

  /** The status of a move by the account of the flow. */
  moving(flow: Flow, path: string): number {
    if (path === flow.path) return 200
    const account = ownerOf(path) ?? flow.account
    if (account !== flow.account)
      return this.rights(this.master(flow.account), { account, path }).write ? 400 : 403
    return this.isTaken(account, path) ? 400 : 200
  }

  isTaken(account: AccountName, path: string): boolean {
    return [...this.flows.values()].some((flow) => flow.account === account && flow.path === path)
  }
}

function ownerOf(path: string): AccountName | undefined {
  return accountNames.find((name) => path.split('/')[1]?.toLowerCase() === name)
}

function all(value: boolean): Record<Right, boolean> {
  return { read: value, write: value, dropRead: value, dropWrite: value, administer: value }
}

function rightsIn(shares: readonly Paths[], path: string): Record<Right, boolean> {
  const rights = all(false)
  for (const paths of shares)
    for (const [prefix, given] of Object.entries(paths)) {
      const covers = prefix === '/' || path === prefix || path.startsWith(`${prefix}/`)
      if (!covers) continue
      for (const right of ['write', 'dropRead', 'dropWrite', 'administer'] as const)
        rights[right] ||= given[right] === true || given['administer'] === true
      // Any right to a flow shows the flow.
      rights.read ||= Object.values(given).includes(true)
    }
  return rights
}
