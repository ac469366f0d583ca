/** Stands for the package sanitize-html in a frozen page, whose manager has no use for it (see frozen_manager.ts). */

export default function sanitize(): never {
  throw new Error('A frozen page shows text, not HTML.');
}
