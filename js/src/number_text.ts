/** Numbers as people read them: approximations, shares, counts and bytes. Values in, text out; nothing else. */

const MINUS = '\u2212';
const LARGEST_PLAIN = 1e6; // from here on, and below SMALLEST_PLAIN, an exponent is shorter and easier to compare
const SMALLEST_PLAIN = 1e-4;
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `value` to 4 significant digits: 0.8213, −2.1, 1.5e−7, NaN, +Inf, −Inf. */
export function approximately(value: number, digits = 4): string {
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? '+Inf' : `${MINUS}Inf`;
  }
  const size = Math.abs(value);
  if (size !== 0 && (size >= LARGEST_PLAIN || size < SMALLEST_PLAIN)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
    return typographic(`${Number(mantissa)}e${Number(exponent)}`);
  }
  return typographic(String(Number(value.toPrecision(digits))));
}

/** `value` with a fixed number of decimals, as on an axis: 0.50, −1.00. */
export function fixedDecimals(value: number, decimals: number): string {
  const text = value.toFixed(decimals);
  return typographic(Number(text) === 0 ? text.replace('-', '') : text);
}

/** A share 0..1 in per cent. "0 %" and "100 %" mean exactly none and all. */
export function shareText(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) {
    return '< 0.1 %';
  }
  if (percent < 100 && percent > 99.9) {
    return '> 99.9 %';
  }
  return `${percent < 10 ? Number(percent.toFixed(1)) : percent > 99 ? Number(percent.toFixed(1)) : Math.round(percent)} %`;
}

/** A whole number with thousands separated: 2,048. */
export function countText(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Bytes in units of 1024, to at most two significant decimals: 412 B, 3.1 MiB, 128 MiB. */
export function byteText(bytes: number): string {
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const shown = unit === 0 || amount >= 100 ? Math.round(amount) : Number(amount.toFixed(1));
  return `${shown} ${BYTE_UNITS[unit]}`;
}

function typographic(text: string): string {
  return text.replace(/-/g, MINUS);
}
