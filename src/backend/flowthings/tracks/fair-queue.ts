/** Things that wait, by owner. Owners have their turns: one who adds many waits behind the first of each other. */
export interface FairQueue<T> {
  /** @returns false when too many wait already, of all owners or of this one */
  push(owner: string, item: T): boolean
  shift(): T | undefined
}

export function createFairQueue<T>(most: { readonly total: number; readonly owner: number }): FairQueue<T> {
  /** By owner, the one whose turn it is first. */
  const lists = new Map<string, T[]>()
  let total = 0
  return {
    push(owner, item) {
      const list = lists.get(owner) ?? []
      if (total >= most.total || list.length >= most.owner) return false
      list.push(item)
      lists.set(owner, list)
      total += 1
      return true
    },
    shift() {
      const [first] = lists
      if (first === undefined) return undefined
      const [owner, list] = first
      const item = list.shift()
      lists.delete(owner)
      if (list.length > 0) lists.set(owner, list)
      total -= 1
      return item
    },
  }
}
