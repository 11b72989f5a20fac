/** In BERT's order: 0 fills up, 1 is what the vocabulary does not have. */
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

/** Words and ends of words that English is full of; all else is spelt. */
const WORDS = `a about after all also an and any are as at back be because been before between big
book both but by call can city come could country day did different do does down each early end even
every family far few file find first for from gave general get give go good great group had hand has have
he head help her here high him his home house how i if important in into is it its just keep kind know large
last late learn left less let life light like line little long look made make man many map may me mean
memory model more most much must my name near need never new next night no not now number of off often old
on one only open or order other our out over own page part people place play point read right run same
saw say school see set she should show side small so some state still such system take tell than that
the their them then there these they thing think this those three through time to too tree turn two
under up us use very want was water way we well were what when where which while who why will with word
work world would write year you young your`;
const ENDINGS = 'able al ed en er est ful ing ion less ly ment ness or ous s tion ty y';

/** `tokenizer.json` of a small WordPiece that lowers case: of that kind, if not of that size, as BERT's. */
export function tokenizerJson(): object {
  const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter(
    (character) => character === character.toLowerCase(),
  );
  const endings = [...characters, ...ENDINGS.split(' ')].map((ending) => `##${ending}`);
  const tokens = new Set([...SPECIAL, ...characters, ...endings, ...WORDS.split(/\s+/)]);
  const vocab = Object.fromEntries(Array.from(tokens, (token, id) => [token, id]));
  const special = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')],
      pair: [],
      special_tokens: Object.fromEntries(
        ['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }]),
      ),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}
