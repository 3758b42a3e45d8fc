import type { Generated } from 'kysely'

/** The tables of rules, which join a flow of the chat and a flow of flowthings. */
export interface RuleTables {
  rules: {
    id: Generated<number>
    kind: 'drop' | 'tag'
    /** The flow of the chat. */
    flow_id: string
    /** The user whose rights the rule has in the chat. */
    user_id: number
    /** The hash of the token that the user signed in with; null for the password. */
    token_hash: string | null
    /** Names the password that the user signed in with; null for a token. */
    password_grant: string | null
    account_id: number
    things_flow_id: string
    /** The hash of the token of the account, whose rights the rule has in flowthings. */
    things_token_hash: string
    name: string
    /** The source that the activities of a drop rule come from. */
    source_id: number | null
    tag: string | null
    /** Which drops become activities; null for all. */
    filter: string | null
    /** The texts of activities, by name. */
    templates_json: string
    status: 'active' | 'paused' | 'disabled'
    problem_code: string | null
    problem_message: string | null
    problem_at: number | null
    /** How often it made an activity or a drop, and how often it did not because of the limit. */
    runs: Generated<number>
    skipped: Generated<number>
    last_run_at: number | null
    minute_started_at: Generated<number>
    /** How many jobs it got since then. */
    minute_runs: Generated<number>
    created_at: number
    updated_at: number
  }
  /** What active rules have to write, in order. A job is deleted in the transaction that writes it. */
  rule_jobs: { no: Generated<number>; rule_id: number; job_json: string; created_at: number }
}
