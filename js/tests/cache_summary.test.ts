import { expect, it } from 'vitest';

import { CacheSummaryModel, CacheSummaryView } from '../src/cache_summary';
import { catalogOf, imageRecord, listenerCount, make, world } from './models';
import { nextFrame, shown } from './page';

function line(summary: string) {
  const { store, selection } = world(catalogOf(imageRecord(1, 2)), undefined, { summary });
  const model = make(CacheSummaryModel, { selection });
  return { store, model, view: shown(CacheSummaryView, model) };
}

it('follows the summary of the store', async () => {
  const { store, view } = line('1.0 GiB recorded, all kept');
  expect(view.el.textContent).toBe('1.0 GiB recorded, all kept');
  store.set('summary', '1.0 GiB recorded, 256.0 MiB kept, rest on demand');
  await nextFrame();
  expect(view.el.textContent).toBe('1.0 GiB recorded, 256.0 MiB kept, rest on demand');
});

it('is text, never HTML', () => {
  expect(line('<b>1 GiB</b>').view.el.children).toHaveLength(0);
});

it('leaves no listener behind', () => {
  const { view, model, store } = line('');
  const before = listenerCount(store);
  shown(CacheSummaryView, model).remove();
  expect(listenerCount(store)).toBe(before);
  view.remove();
  expect(listenerCount(store)).toBeLessThan(before);
});
