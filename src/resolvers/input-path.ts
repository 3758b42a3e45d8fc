import {
  ConflictError,
  ForbiddenError,
  type GatewayError,
  NotFoundError,
  ValidationError,
} from '../errors.ts'

type Input = Readonly<Record<string, unknown>>

/**
 * The fields of inputs that name something of the upstream, in the order in which the upstream looks at them: it reports a
 * thread, message or user that is not in the flow as an invalid field, and answers "not found" for the first of these.
 */
const targets = [
  ...['flowToken', 'flow', 'messageId', 'threadId', 'sourceId', 'invitationId', 'organizationId', 'userId'],
]

/** What the upstream calls a field of an input, where it is not the same word. */
const fieldNames: Readonly<Record<string, string>> = {
  access_mode: 'access',
  disabled: 'blocked',
  id: 'userId',
  message: 'messageId',
  open: 'isOpen',
}

/**
 * The path of the input that caused the failure of a mutation, from what the upstream said about it. Undefined where no
 * input is to blame, or nothing says which.
 */
export function blamedInput(error: GatewayError, input: Input): readonly string[] | undefined {
  if (error.inputPath !== undefined) return error.inputPath
  const isGiven = (name: string) => input[name] !== undefined && input[name] !== null
  if (error instanceof ValidationError) {
    const name = error.fields.map(({ field }) => fieldNames[field] ?? toCamelCase(field)).find(isGiven)
    return name === undefined ? undefined : ['input', name]
  }
  const isAboutTarget = [NotFoundError, ForbiddenError, ConflictError].some((type) => error instanceof type)
  const name = isAboutTarget ? targets.find(isGiven) : undefined
  return name === undefined ? undefined : ['input', name]
}

function toCamelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
