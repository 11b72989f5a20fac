import { expect } from 'vitest';

/** The error that `action` throws, or that its promise is rejected with; fails when there is none. */
export async function thrownBy(
  action: () => unknown,
): Promise<NodeJS.ErrnoException & { tensor?: string | undefined }> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as NodeJS.ErrnoException;
  }
  throw new Error('expected an error, and nothing was thrown');
}
