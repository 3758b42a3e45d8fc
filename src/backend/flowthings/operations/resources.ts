import { flowResource } from './flow-resource.ts'
import { deviceType } from './object-types/devices.ts'
import { groupType } from './object-types/groups.ts'
import { identityType } from './object-types/identities.ts'
import { shareType } from './object-types/shares.ts'
import { taskTypes } from './object-types/tasks.ts'
import { tokenType } from './object-types/tokens.ts'
import { trackType } from './object-types/tracks.ts'
import { createObjectResource } from './objects.ts'
import type { Resource } from './resource.ts'

const types = [trackType, groupType, identityType, tokenType, shareType, deviceType, ...taskTypes]

/** The resources of the API but drops, by their names in URLs and frames. */
export const resources: ReadonlyMap<string, Resource> = new Map<string, Resource>([
  ['flow', flowResource],
  ...types.map((type): [string, Resource] => [type.kind, createObjectResource(type)]),
])
