import type { Generated } from 'kysely'

/** The tables of the flowthings API. */
export interface ThingsTables {
  /** An account of the flowthings API. */
  things_accounts: {
    id: Generated<number>
    /** In lower case. */
    name: string
    /** The id of its identity, whose other members are in `things_objects`. */
    identity_id: string
    /** Of the master token. */
    token_hash: string
    created_at: number
  }
  things_flows: {
    no: Generated<number>
    id: string
    account_id: number
    path: string
    /** The path in the form in which paths are compared: equal for paths that are the same. */
    path_key: string
    /** How many drops it holds; 0 stores none. */
    capacity: number
    filter: string | null
    /** All other members of the flow. */
    details_json: string
    creator_id: string
    created_at: number
    edited_at: number | null
    editor_id: string | null
    /** The number of the newest drop. Drops are numbered in the order of their commits. */
    last_seq: Generated<number>
    /** How many drops there are. */
    drops: Generated<number>
    last_drop_at: Generated<number>
  }
  things_drops: {
    flow_no: number
    seq: number
    id: string
    fhash: string | null
    created_at: number
    /** The drop without `id`, `flowId`, `path`, `creationDate` and `fhash`. Elements have their types. */
    drop_json: string
  }
  /** The newest drops of all flows, numbered in the order of their commits. They are deleted after a minute. */
  things_arrivals: {
    seq: number
    stored_at: number
    /** Where and when it arrived, as the bus carries it. Empty for one that was deleted: the newest number is kept. */
    place_json: string
    /** As in `things_drops`. */
    drop_json: string
  }
  /** Everything of an account but its flows and drops. */
  things_objects: {
    no: Generated<number>
    id: string
    /** As the API names it in URLs, such as `api-task`. */
    kind: string
    account_id: number
    /** What it is found by besides its id: the hash of a token, whom a share is issued to, the flow of a track. */
    subject: string | null
    expires_at: number | null
    created_at: number
    object_json: string
  }
  /** Drops that wait for the function of a track. */
  things_script_jobs: {
    no: Generated<number>
    track_id: string
    account_id: number
    /** As the function gets it. */
    drop_json: string
    /** How many tracks made the drop, one behind the other. */
    hops: number
    created_at: number
    /** 1 if the drop comes from a rule, and so starts no rule. */
    from_rule: Generated<number>
  }
  /** How a task runs: a row for each task that ran, or that sends drops. */
  things_task_runs: {
    task_id: string
    /** The flow whose drops it sends, and the number of the last drop that was sent. */
    flow_no: number | null
    position: number | null
    /** What the broker subscribed it to, in which session. */
    session_json: string | null
    /** OK or ERROR. */
    status: string | null
    last_error: string | null
    last_error_at: number | null
    /** How many messages were received and stored, or sent. */
    messages: Generated<number>
    refused: Generated<number>
    /** When the last one was. */
    last_run_at: number | null
  }
  /** Messages of QoS 2 whose drops are stored, until the broker releases their packet ids. */
  things_task_packets: { task_id: string; packet_id: number }
  /** One row: the backend that runs the tasks. */
  things_task_lease: {
    id: number
    /** Blank for none. */
    instance: string
    /** Goes up while that backend runs. */
    beat: number
    /** Goes up when a task that can run was created, changed or deleted. */
    changes: number
  }
  /** What lets a rule act with a token of flowthings, once, until it expires. */
  things_permits: { hash: string; token_hash: string; expires_at: number }
  things_members: { group_id: string; identity_id: string }
  /** How often something happened within an hour. */
  things_counts: { kind: string; object_id: string; hour: number; count: number }
}
