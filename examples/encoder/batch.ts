/** Texts as numbers of tokens, filled up to one length; the mask tells which are tokens. */
export interface Batch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
}

/** What an encoder makes of a batch, all numbers in one row. */
export interface Encoded {
  /** [batch, sequence, hidden] */
  readonly last_hidden_state: Float32Array;
  /** [batch, hidden] */
  readonly sentence_embedding: Float32Array;
}
