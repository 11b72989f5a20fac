/** The table of docs/backends.md, from the adapters' own tables. */

export interface Conversion {
  readonly type: string;
  readonly copy: boolean;
  readonly option?: string;
}

export type Tables = Readonly<Record<string, Readonly<Partial<Record<string, Conversion>>>>>;

export const TABLE_BEGIN = '<!-- table: npm run docs -->';
export const TABLE_END = '<!-- end of table -->';

/** Widest and most common first. */
const DTYPES =
  'F32 F64 F16 BF16 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ F6_E2M3 F6_E3M2 F4 C64 ' +
  'I64 I32 I16 I8 U64 U32 U16 U8 BOOL';

function cell(conversion: Conversion | undefined): string {
  if (conversion === undefined) return '—';
  const { type, copy, option } = conversion;
  return `\`${type}\`, ${option ? `by \`${option}\`` : copy ? 'copy' : 'view'}`;
}

/** Rows that are the same for all are one. */
export function backendsTable(tables: Tables): string {
  const names = Object.keys(tables);
  const rows = new Map<string, string[]>();
  for (const dtype of DTYPES.split(' ')) {
    const cells = names.map((name) => cell(tables[name][dtype])).join(' | ');
    rows.set(cells, [...(rows.get(cells) ?? []), dtype]);
  }
  return [
    `| | ${names.map((name) => `[${name}](${name}.md)`).join(' | ')} |`,
    `| --- ${'| --- '.repeat(names.length)}|`,
    ...Array.from(rows, ([cells, dtypes]) => `| ${dtypes.join(', ')} | ${cells} |`),
  ].join('\n');
}

/** The page with its table replaced. */
export function withTable(page: string, table: string): string {
  const begin = page.indexOf(TABLE_BEGIN);
  const end = page.indexOf(TABLE_END);
  if (begin < 0 || end < begin) throw new Error('the page has no place for the table');
  return `${page.slice(0, begin + TABLE_BEGIN.length)}\n${table}\n${page.slice(end)}`;
}
