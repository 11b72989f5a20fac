import type { Trial } from '../harness/trial.ts';
import { header } from './header.ts';
import { hostile } from './hostile.ts';
import { models } from './models.ts';
import { save } from './save.ts';
import { sparse } from './sparse.ts';
import { views } from './views.ts';

export const TRIALS: readonly Trial[] = [header, hostile, views, sparse, models, save];
