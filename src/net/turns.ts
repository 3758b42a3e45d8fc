/**
 * Passes items on in their order, at most `most` in one turn of the event loop. Node.js delivers up to a thousand messages of a
 * port in a turn, and connections and timers would wait for the work on all of them.
 */
export function spreadOverTurns<Item>(most: number, handle: (item: Item) => void): (item: Item) => void {
  const waiting: Item[] = []
  let handled = 0
  let isScheduled = false

  function schedule(): void {
    if (isScheduled) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      handled = 0
      for (const item of waiting.splice(0, most)) pass(item)
      if (waiting.length > 0) schedule()
    })
  }

  function pass(item: Item): void {
    handled += 1
    schedule()
    handle(item)
  }

  return (item) => {
    if (handled < most && waiting.length === 0) pass(item)
    else waiting.push(item)
  }
}
