import type { Destination } from './encode.ts'

/** The flow that a message is in, or an event is about. */
export interface FlowChannel {
  readonly id: string
  readonly channel_id: number
}

/** A private conversation and its two users. */
export interface PrivateChannel {
  readonly channel_id: number
  readonly low_user_id: number
  readonly high_user_id: number
}

export type Channel = FlowChannel | PrivateChannel

/** The receiver of a message of a channel: the flow, or the other user. */
export function destinationOf(channel: Channel, message: { readonly user_id: number }): Destination {
  return 'id' in channel ? { flow: channel.id } : { to: String(otherUser(channel, message.user_id)) }
}

export function otherUser({ low_user_id, high_user_id }: PrivateChannel, userId: number): number {
  return userId === low_user_id ? high_user_id : low_user_id
}
