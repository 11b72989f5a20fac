// Scans each file of a list, and converts it twice, and says what came of it: convert-each.js LIST OUTPUT-FOLDER.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SafetensorsError } from 'safetensors-mmap';
import { type ConvertOptions, convertCheckpoint, scanCheckpoint } from 'safetensors-mmap/convert';

/** What came of one file. */
export interface Outcome {
  verdict: string;
  /** Without its prefix; `null` where it was converted. */
  code: string | null;
  /** The same, where what is unknown is skipped. */
  skipping: string | null;
  /** What the scan found, and what the conversion said. */
  scan: string;
  message: string;
  ms: number;
}

export interface Outcomes {
  outcomes: Outcome[];
  peakBytes: number;
}

const [, , list, folder] = process.argv;
const files: string[] = JSON.parse(readFileSync(list, 'utf8'));
const outcomes: Outcome[] = [];
for (const [index, file] of files.entries()) {
  const start = performance.now();
  const [report] = await scanCheckpoint(file);
  const output = join(folder, `${index}.safetensors`);
  const { code, message } = await conversionOf(file, output);
  const { code: skipping } = await conversionOf(file, output, { skipUnknown: true });
  const { verdict, globals, calls, problem } = report;
  const scan = JSON.stringify([globals, calls, problem?.message.replaceAll(file, '')]);
  outcomes.push({ verdict, code, skipping, scan, message, ms: performance.now() - start });
}
const result: Outcomes = { outcomes, peakBytes: process.resourceUsage().maxRSS * 1024 };
console.log(JSON.stringify(result));

async function conversionOf(file: string, output: string, options: ConvertOptions = {}) {
  try {
    await convertCheckpoint(file, output, { ...options, fsync: false });
    return { code: null, message: '' };
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
    return { code: error.code.replace('ERR_SAFETENSORS_', ''), message: error.message };
  }
}
