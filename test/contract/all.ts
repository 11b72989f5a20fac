/** The contract of containers: what all of them promise, whatever is under them. */
import { CHANGES } from './changes.js';
import { MEMORY } from './memory.js';
import { READING } from './reading.js';
import type { Case, Subject } from './setup.js';

const CASES: readonly Case[] = [...READING, ...MEMORY, ...CHANGES];

/** The cases of a kind of container. */
export function casesOf(subject: Subject): Case[] {
  return CASES.filter(({ of }) => of === undefined || of(subject));
}
