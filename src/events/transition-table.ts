/** What a machine does with an event in a state: where it goes, and the effects, in their order. */
export interface Transition<State extends string, Effect extends string> {
  readonly next: State
  readonly effects: readonly Effect[]
}

/** Complete by its type: each state has a cell for each event. In an `ignore` cell the event changes nothing. */
export type TransitionTable<State extends string, Event extends string, Effect extends string> = Readonly<
  Record<State, Readonly<Record<Event, Transition<State, Effect> | 'ignore'>>>
>

/** Makes a cell. */
export function go<State extends string, Effect extends string = never>(
  next: State,
  ...effects: Effect[]
): Transition<State, Effect> {
  return { next, effects }
}
