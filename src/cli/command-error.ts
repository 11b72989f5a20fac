/** Something that a command will not do; its message says all, and is printable. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
