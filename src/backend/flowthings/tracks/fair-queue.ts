/** A queue that takes items from the owners in turn. An owner with many items does not delay the first item of another. */
export interface FairQueue<T> {
  /** @returns false when the queue is full, for all owners or for this one */
  push(owner: string, item: T): boolean
  shift(): T | undefined
}

export function createFairQueue<T>(most: { readonly total: number; readonly owner: number }): FairQueue<T> {
  /** The items of each owner. The next owner is first. */
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
