import { createHash } from 'node:crypto';
import { deserialize, type OpenOptions, type SafetensorsError } from 'safetensors-mmap';

export interface ReadTensor {
  name: string;
  dtype: string;
  shape: number[];
  sha256: string;
}

export interface Reading {
  ok: true;
  metadata: Record<string, string>;
  tensors: ReadTensor[];
}

/** What the reference says of a file: see test/interop/read_all.py. */
export type Verdict = Reading | { ok: false; message: string };

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function byName<T extends { name: string }>(tensors: readonly T[]): T[] {
  return tensors.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

/** Our verdict in the same words, or the error. */
export function verdictOf(bytes: Uint8Array, options?: OpenOptions): Reading | SafetensorsError {
  try {
    const container = deserialize(bytes, options);
    const tensors = [...container].map(([name, tensor]) => ({
      name,
      dtype: tensor.dtype,
      shape: [...tensor.shape],
      sha256: sha256(tensor.bytes),
    }));
    return { ok: true, metadata: { ...container.metadata }, tensors: byName(tensors) };
  } catch (error) {
    return error as SafetensorsError;
  }
}

/** A rule that this package keeps, by choice, and the reference does not. */
interface StricterRule {
  rule: string;
  code: string;
  /** Of the message; all of the code when there is none. */
  found?: RegExp;
}

/** All differences that are allowed between the two; README names them. */
export const STRICTER_RULES: readonly StricterRule[] = [
  { rule: 'duplicate keys', code: 'ERR_SAFETENSORS_DUPLICATE_KEY' },
  { rule: 'integers above 2^53 - 1', code: 'ERR_SAFETENSORS_OVERFLOW' },
  {
    rule: 'an entry written as an array',
    code: 'ERR_SAFETENSORS_HEADER_JSON',
    found: /expected "\{" that opens an entry, found "\["/,
  },
  {
    rule: 'a dtype written as an object',
    code: 'ERR_SAFETENSORS_HEADER_JSON',
    found: /expected a dtype, a string, found "\{"/,
  },
];

/** The rule for which a file is refused that the reference reads; nothing when there is none. */
export function stricterRule({ code, message }: SafetensorsError): string | undefined {
  return STRICTER_RULES.find((rule) => rule.code === code && (rule.found?.test(message) ?? true))
    ?.rule;
}
