/**
 * Compares names with their decimal numbers by value: `layers.9` comes before `layers.10`.
 * Everything else is compared by UTF-16 unit; 0 only for equal names.
 */
export function compareNatural(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(j);
    if (isDigit(x) && isDigit(y)) {
      const endOfX = endOfDigits(a, i);
      const endOfY = endOfDigits(b, j);
      const order = compareDigits(a.slice(i, endOfX), b.slice(j, endOfY));
      if (order !== 0) return order;
      i = endOfX;
      j = endOfY;
    } else if (x !== y) {
      return x - y;
    } else {
      i++;
      j++;
    }
  }
  return a.length - i - (b.length - j) || compareUnits(a, b);
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

function endOfDigits(text: string, start: number): number {
  let end = start;
  while (isDigit(text.charCodeAt(end))) end++;
  return end;
}

/** Any number of digits: without their zeros, the longer is the larger. */
function compareDigits(a: string, b: string): number {
  const x = a.replace(/^0+/, '');
  const y = b.replace(/^0+/, '');
  return x.length - y.length || compareUnits(x, y);
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
