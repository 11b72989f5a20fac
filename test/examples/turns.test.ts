import { expect, it } from 'vitest';
import { Turns } from '../../examples/model-server/turns.ts';

/** Blocks the thread, and then once more from setImmediate, as ONNX Runtime does. */
function block(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => {
      const end = performance.now() + ms;
      while (performance.now() < end);
      resolve();
    });
  });
}

it('one piece of work runs at a time, and the event loop comes round between two', async () => {
  const turns = new Turns();
  const log: string[] = [];
  const request = async (name: string) => {
    for (let piece = 0; piece < 5; piece++) {
      await turns.take(async () => {
        log.push(name);
        await block(10);
      });
    }
  };
  const timer = setInterval(() => log.push('-'), 1);
  await Promise.all(['a', 'b', 'c'].map(request));
  clearInterval(timer);
  expect(log.filter((name) => name !== '-').join('')).toBe('abc'.repeat(5));
  // Whatever else there is to do waits for one piece, not for those of all requests.
  expect(log.join('')).not.toMatch(/[abc]{3}/);
});

it('what was given up before its turn does not run, and holds up nobody', async () => {
  const turns = new Turns();
  const controller = new AbortController();
  const first = turns.take(() => block(20));
  let ran = false;
  const second = turns.take(async () => {
    ran = true;
  }, controller.signal);
  const third = turns.take(async () => 'third');
  controller.abort(new Error('gone'));
  await expect(second).rejects.toThrow('gone');
  await expect(turns.take(() => Promise.reject(new Error('bad')))).rejects.toThrow('bad');
  expect(await third).toBe('third');
  await first;
  expect(ran).toBe(false);
});
