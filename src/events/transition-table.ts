/** The next state after an event, and the effects in their order. */
export interface Transition<State extends string, Effect extends string> {
  readonly next: State
  readonly effects: readonly Effect[]
}

/** The type requires a cell for each event in each state. The value `ignore` means that the event changes nothing. */
export type TransitionTable<State extends string, Event extends string, Effect extends string> = Readonly<
  Record<State, Readonly<Record<Event, Transition<State, Effect> | 'ignore'>>>
>

/** Creates a cell. */
export function go<State extends string, Effect extends string = never>(
  next: State,
  ...effects: Effect[]
): Transition<State, Effect> {
  return { next, effects }
}
