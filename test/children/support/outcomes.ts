import type { SafetensorsError } from 'safetensors-mmap';

/** How often attempts ended in which way: 'done', or the code of an error. */
export class Outcomes {
  readonly counts: Record<string, number> = {};

  /** Awaits an attempt. @returns what it came to, if it did. */
  async note<T>(attempt: () => T): Promise<Awaited<T> | undefined> {
    try {
      const result = await attempt();
      this.#count('done');
      return result;
    } catch (error) {
      this.#count((error as SafetensorsError).code ?? String(error));
      return undefined;
    }
  }

  print(): void {
    console.log(JSON.stringify(this.counts));
  }

  #count(outcome: string): void {
    this.counts[outcome] = (this.counts[outcome] ?? 0) + 1;
  }
}
