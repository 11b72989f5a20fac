import type { Trial } from '../harness/trial.ts';
import { convert } from './convert.ts';
import { decode } from './decode.ts';
import { gc } from './gc.ts';
import { header } from './header.ts';
import { hostile } from './hostile.ts';
import { loop } from './loop.ts';
import { models } from './models.ts';
import { openSize } from './open-size.ts';
import { processes } from './processes.ts';
import { save } from './save.ts';
import { scattered } from './scattered.ts';
import { slices } from './slices.ts';
import { sparse } from './sparse.ts';
import { touch } from './touch.ts';
import { views } from './views.ts';

export const TRIALS: readonly Trial[] = [
  header,
  hostile,
  views,
  sparse,
  models,
  save,
  convert,
  openSize,
  touch,
  scattered,
  slices,
  decode,
  loop,
  processes,
  gc,
];
