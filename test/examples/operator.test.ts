import { EventEmitter } from 'node:events';
import type { PrefetchProgress } from 'safetensors-mmap';
import { expect, it } from 'vitest';
import { examine } from '../../examples/model-server/examine.ts';
import type { Fleet } from '../../examples/model-server/fleet.ts';
import { buildOperator } from '../../examples/model-server/operator.ts';
import { parseOptions } from '../../examples/model-server/options.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { writeModel } from './support/model-server.ts';

it('the metrics tell how far the newest model is read, while it is', async () => {
  const fleet = Object.assign(new EventEmitter(), { serving: [], unresponsive: 0 });
  const operator = buildOperator(fleet as unknown as Fleet, parseOptions(['--model', 'm']));
  const shown = async () => {
    const { statusCode, body } = await operator.inject({ method: 'GET', url: '/metrics' });
    expect(statusCode).toBe(200);
    return ['bytes', 'total_bytes'].map((name) =>
      Number(new RegExp(`^model_prefetch_${name} (\\d+)$`, 'm').exec(body)?.[1]),
    );
  };
  const model = await writeModel(`${temporaryFolder()}/wide`, '--size', 'wide');
  const seen: PrefetchProgress[] = [];
  const examined = await examine(model, 'data', {
    onProgress(progress) {
      seen.push({ ...progress });
    },
  });
  examined[Symbol.dispose]();
  expect(seen.length).toBeGreaterThan(2);
  for (const [i, progress] of seen.entries()) {
    fleet.emit('prefetch', progress);
    expect(await shown()).toEqual([progress.bytes, progress.totalBytes]);
    expect(progress.totalBytes).toBe(seen[0].totalBytes);
    expect(progress.bytes).toBeGreaterThanOrEqual(seen[Math.max(0, i - 1)].bytes);
  }
  expect(seen.at(-1)?.bytes).toBe(seen[0].totalBytes);
  expect(seen[0].bytes).toBeLessThan(seen[0].totalBytes);
  await operator.close();
});
