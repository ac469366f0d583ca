/** Palettes: colour maps as pixels, and the loud colours of values that are no finite number. Data only, no widget. */

import { COLORMAPS } from './generated/colormaps';

export const POSITIONS = 256;
/** Codes of a frame from here on stand for -Inf, +Inf, NaN; the ones before for 0..1 of lo..hi. */
export const FIRST_SPECIAL_CODE = 253;
export const LAST_VALUE_CODE = FIRST_SPECIAL_CODE - 1;
/** CSS colours of -Inf, +Inf and NaN: in no colour map, and bright on a light and on a dark page. */
export const SPECIAL_COLORS = { neginf: '#00ffff', posinf: '#39ff14', nan: '#ff00ff' } as const;

const pixelsByMap = new Map<string, Uint32Array>();

export function hasColormap(name: string): boolean {
  return Object.hasOwn(COLORMAPS, name);
}

export function colormapNames(): string[] {
  return Object.keys(COLORMAPS);
}

/** 256 pixels of a colour map, as the 32-bit numbers that ImageData holds on a little endian machine (ABGR). */
export function palette(name: string): Uint32Array {
  let pixels = pixelsByMap.get(name);
  if (pixels === undefined) {
    const digits = COLORMAPS[name];
    pixels = Uint32Array.from({ length: POSITIONS }, (_, entry) => pixel(digits.slice(6 * entry, 6 * entry + 6)));
    pixelsByMap.set(name, pixels);
  }
  return pixels;
}

/** Pixels of -Inf, +Inf, NaN: the codes from FIRST_SPECIAL_CODE on. */
export const SPECIAL_PIXELS = [SPECIAL_COLORS.neginf, SPECIAL_COLORS.posinf, SPECIAL_COLORS.nan].map((color) =>
  pixel(color.slice(1)),
);

/** The CSS colour at one entry of a colour map. */
export function cssColor(name: string, entry: number): string {
  return `#${COLORMAPS[name].slice(6 * entry, 6 * entry + 6)}`;
}

function pixel(rrggbb: string): number {
  const value = Number.parseInt(rrggbb, 16);
  const red = value >>> 16;
  const green = (value >>> 8) & 0xff;
  const blue = value & 0xff;
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
