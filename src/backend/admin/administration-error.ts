/** Why a command cannot be carried out, in words for the operator. */
export class AdministrationError extends Error {
  override readonly name = 'AdministrationError'
}

/** A row of a list, as it is printed. */
export type Entry = Readonly<Record<string, string | number | boolean | null>>
