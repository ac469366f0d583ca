/** Pictures as they come with an ImageOverlay, and as the page shows them. */

/** One sample's picture: a PNG file, size of what was given in pixels, what was done to its values. */
export interface OverlayPicture {
  png: DataView;
  width: number;
  height: number;
  note: string;
}

const CHUNK_BYTES = 0x8000; // fromCharCode takes its bytes as arguments, and their number is limited

/** A data URL: unlike an object URL it needs no end, and every host's content policy lets it in. */
export function pictureUrl({ png }: OverlayPicture): string {
  const bytes = new Uint8Array(png.buffer, png.byteOffset, png.byteLength);
  let text = '';
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return `data:image/png;base64,${btoa(text)}`;
}
