/** Values by key. Most keys have one value, which takes no set of its own. */
export class Grouped<K, V extends object> {
  readonly #values = new Map<K, V | Set<V>>()

  add(key: K, value: V): void {
    const known = this.#values.get(key)
    if (known === undefined) this.#values.set(key, value)
    else if (known instanceof Set) known.add(value)
    else if (known !== value) this.#values.set(key, new Set([known, value]))
  }

  remove(key: K, value: V): void {
    const known = this.#values.get(key)
    if (known instanceof Set) known.delete(value)
    if (known === value || (known instanceof Set && known.size === 0)) this.#values.delete(key)
  }

  /** A list that does not change. */
  of(key: K): readonly V[] {
    const known = this.#values.get(key)
    if (known === undefined) return []
    return known instanceof Set ? [...known] : [known]
  }
}
