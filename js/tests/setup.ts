/** What the libraries under test expect from a browser and jsdom does not have. */

class NoDragEvent extends MouseEvent {}
class NoResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

globalThis.DragEvent ??= NoDragEvent as typeof DragEvent;
globalThis.ResizeObserver ??= NoResizeObserver;
