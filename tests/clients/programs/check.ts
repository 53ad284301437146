declare const process: { argv: string[] }

/** The URL of the running service. */
export const URL_OF_SERVICE = process.argv[2] ?? ""
export const PASSWORD = "correct horse battery"

/** Ends the program when the condition does not hold. */
export function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what)
}
