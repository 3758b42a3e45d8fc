import {
  ConflictError,
  ForbiddenError,
  type GatewayError,
  NotFoundError,
  ValidationError,
} from '../errors.ts'

type Input = Readonly<Record<string, unknown>>

/**
 * The fields of inputs that name an object of the upstream, in the order in which the upstream checks them. It reports a
 * thread, message or user that is not in the flow as an invalid field, and "not found" for the first of these fields.
 */
const targets = [
  ...['flowToken', 'flow', 'messageId', 'threadId', 'sourceId', 'invitationId', 'organizationId', 'userId'],
  ...['ruleId', 'flowId', 'dropId', 'trackId', 'groupId', 'tokenId', 'shareId', 'deviceId', 'taskId'],
]

/** The input fields for which the upstream has another name. */
const fieldNames: Readonly<Record<string, string>> = {
  access_mode: 'access',
  disabled: 'blocked',
  drop_filter: 'filter',
  id: 'userId',
  message: 'messageId',
  open: 'isOpen',
}

/**
 * The path of the input that made a mutation fail, from the error of the upstream. Undefined when the failure has another
 * cause, or the error does not say which input it is.
 */
export function blamedInput(error: GatewayError, input: Input): readonly string[] | undefined {
  if (error.inputPath !== undefined) return error.inputPath
  const isGiven = (name: string) => input[name] !== undefined && input[name] !== null
  if (error instanceof ValidationError) {
    const name = error.fields
      .map(({ field }) => fieldNames[field] ?? toCamelCase(field))
      // A filter is given in parts or as text, and what rules write as templates.
      .flatMap((field) => [field, `${field}Text`, `${field}Template`])
      .find(isGiven)
    return name === undefined ? undefined : ['input', name]
  }
  const isAboutTarget = [NotFoundError, ForbiddenError, ConflictError].some((type) => error instanceof type)
  const name = isAboutTarget ? targets.find(isGiven) : undefined
  return name === undefined ? undefined : ['input', name]
}

function toCamelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
