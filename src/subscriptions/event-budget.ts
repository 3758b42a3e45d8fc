import { GatewayError } from '../errors.ts'

/** Limits the calls to the upstream that all open subscriptions of a principal may cause for one event. */
export interface EventBudgets {
  /**
   * Takes the calls of one subscription. Equal subscriptions of a principal are executed together and count once.
   *
   * @returns a function that returns them, once
   * @throws GatewayError `COST_EXCEEDED` when there are not enough
   */
  take(principal: string, subscription: string, calls: number): () => void
}

interface Budget {
  calls: number
  /** The number of equal open subscriptions. */
  readonly open: Map<string, number>
}

const takesNothing = () => undefined

export function createEventBudgets(maxCalls: number): EventBudgets {
  const budgets = new Map<string, Budget>()

  function giveBack(principal: string, subscription: string, calls: number): void {
    const budget = budgets.get(principal)
    if (budget === undefined) return
    const left = (budget.open.get(subscription) ?? 1) - 1
    if (left > 0) return void budget.open.set(subscription, left)
    budget.open.delete(subscription)
    budget.calls -= calls
    if (budget.open.size === 0) budgets.delete(principal)
  }

  function take(principal: string, subscription: string, calls: number): () => void {
    const budget = budgets.get(principal) ?? { calls: 0, open: new Map<string, number>() }
    const equal = budget.open.get(subscription) ?? 0
    const added = equal === 0 ? calls : 0
    if (budget.calls + added > maxCalls)
      throw new GatewayError(
        'COST_EXCEEDED',
        `Your open subscriptions may cause ${budget.calls} calls to the upstream for one event, and this one ${calls} more; at most ${maxCalls} are allowed. End others first, or ask for shorter lists`,
      )
    budget.calls += added
    budget.open.set(subscription, equal + 1)
    budgets.set(principal, budget)
    let isTaken = true
    return () => {
      if (isTaken) giveBack(principal, subscription, calls)
      isTaken = false
    }
  }

  return {
    // The scope of `take` stays in memory with what it returns.
    take: (principal, subscription, calls) =>
      calls === 0 ? takesNothing : take(principal, subscription, calls),
  }
}
