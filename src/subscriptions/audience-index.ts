/**
 * Members by their audiences. Arrays of members are never changed, so an array keeps the members of the moment when it was read.
 */
export class AudienceIndex<Member> {
  readonly #members = new Map<string, Set<Member>>()
  /** Cached arrays, by the names of the audiences. */
  readonly #arrays = new Map<string, readonly Member[]>()
  readonly #unions = new Map<string, readonly Member[]>()

  /** @returns whether it is the first member of the audience */
  add(name: string, member: Member): boolean {
    let members = this.#members.get(name)
    if (members === undefined) {
      members = new Set()
      this.#members.set(name, members)
    }
    members.add(member)
    this.#forget(name)
    return members.size === 1
  }

  /** @returns whether it was the last member of the audience */
  remove(name: string, member: Member): boolean {
    const members = this.#members.get(name)
    if (members === undefined || !members.delete(member)) return false
    this.#forget(name)
    if (members.size > 0) return false
    this.#members.delete(name)
    return true
  }

  /** The members of any of these audiences, each once. */
  of(names: readonly string[]): readonly Member[] {
    const [first = ''] = names
    if (names.length === 1) return this.#ofOne(first)
    const present = names.filter((name) => this.#members.has(name))
    if (present.length <= 1) return present[0] === undefined ? [] : this.#ofOne(present[0])
    const key = JSON.stringify(present)
    let union = this.#unions.get(key)
    if (union === undefined) {
      union = [...new Set(present.flatMap((name) => this.#ofOne(name)))]
      this.#unions.set(key, union)
    }
    return union
  }

  #ofOne(name: string): readonly Member[] {
    let array = this.#arrays.get(name)
    if (array === undefined) {
      array = [...(this.#members.get(name) ?? [])]
      if (array.length > 0) this.#arrays.set(name, array)
    }
    return array
  }

  #forget(name: string): void {
    this.#arrays.delete(name)
    this.#unions.clear()
  }
}
