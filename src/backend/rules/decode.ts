import { boundedText } from '../bounds.ts'
import { isRuleTag } from '../flowdock/operations/tag-rules.ts'
import { readFilter } from '../flowthings/find-params.ts'
import type { ActivityTexts } from '../flowthings/operations/drop-rules.ts'
import { parseTemplate, TemplateError } from '../flowthings/templates.ts'
import { ThingsError } from '../flowthings/things-error.ts'
import { invalid } from '../http/errors.ts'
import type { Params } from '../http/params.ts'

const maxTemplateCharacters = { title: 500, body: 5000, thread_key: 200, thread_title: 200 } as const

type TemplateName = keyof typeof maxTemplateCharacters

/** @throws 400 for a name that is missing or too long */
export function decodeName(params: Params): string {
  const name = boundedText(params, 'name', 'name')?.trim()
  if (name === undefined || name === '') throw invalid({ name: ["can't be blank"] })
  return name
}

/** A parameter that must be given. @throws 400 */
export function requiredText(params: Params, name: string): string {
  const text = params.string(name)
  if (text === undefined) throw invalid({ [name]: ["can't be blank"] })
  return text
}

/** The tag of a message, without "#". @throws 400 */
export function decodeTag(params: Params): string | undefined {
  const written = boundedText(params, 'tag', 'tag')
  if (written === undefined) return undefined
  const tag = written.trim().normalize().replace(/^#/, '')
  if (tag === '' || !isRuleTag(tag) || tag.startsWith('@') || tag.startsWith('#'))
    throw invalid({ tag: ['must be a tag that users give, such as "incident"'] })
  return tag
}

/** A filter of drops; null for a blank one, which all drops match. @throws 400 */
export function decodeFilter(params: Params): string | null | undefined {
  const text = params.string('drop_filter')
  if (text === undefined) return undefined
  if (text.trim() === '') return null
  try {
    readFilter(text)
  } catch (error) {
    if (!(error instanceof ThingsError)) throw error
    throw invalid({ drop_filter: [`cannot be read: ${error.message}`] })
  }
  return text
}

/** The templates that are given. @throws 400 */
export function decodeTexts(params: Params): Partial<ActivityTexts> {
  const title = decodeTemplate(params, 'title')
  if (params.has('title') && title?.trim() === '') throw invalid({ title: ["can't be blank"] })
  const body = decodeTemplate(params, 'body')
  const threadKey = decodeTemplate(params, 'thread_key')
  const threadTitle = decodeTemplate(params, 'thread_title')
  return {
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    ...(threadKey === undefined ? {} : { threadKey }),
    ...(threadTitle === undefined ? {} : { threadTitle }),
  }
}

function decodeTemplate(params: Params, name: TemplateName): string | undefined {
  const text = params.string(name)
  if (text === undefined) return undefined
  const most = maxTemplateCharacters[name]
  if (text.length > most)
    throw invalid({ [name]: [`is too long: ${text.length} characters, at most ${most} are stored`] })
  try {
    parseTemplate(text)
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    throw invalid({ [name]: [error.message] })
  }
  return text.trim()
}
