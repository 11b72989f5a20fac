import { type EncoderConfig, MULTILINGUAL_MINILM, TINY } from '../encoder/config.ts';

/** Models that can be written to try the server with. */
export const SIZES: Readonly<Record<string, EncoderConfig>> = {
  tiny: TINY,
  /** As many bytes as matter for memory, and next to nothing to compute: for tests. */
  wide: { ...TINY, vocab_size: 250_000 },
  large: MULTILINGUAL_MINILM,
};
