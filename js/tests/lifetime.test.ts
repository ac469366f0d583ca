import { WidgetView } from '@jupyter-widgets/base';
import { expect, it, vi } from 'vitest';

import { Lifetime } from '../src/lifetime';
import { foreign, listenerCount } from './models';
import { nextFrame } from './page';

function living() {
  const report = vi.fn();
  const view = new WidgetView({ model: foreign({}), options: {} } as never);
  return { report, view, life: new Lifetime(view, report) };
}

it('reports what a callback throws', () => {
  const { life, report } = living();
  const subject = foreign({ value: 0 });
  const error = new Error('broken');
  life.follow(subject, 'change', () => {
    throw error;
  });
  subject.set('value', 1);
  expect(report).toHaveBeenCalledWith(error);
});

it('draws once per frame', async () => {
  const { life } = living();
  const work = vi.fn();
  life.nextFrame(work);
  life.nextFrame(work);
  await nextFrame();
  expect(work).toHaveBeenCalledTimes(1);
});

it('ends listeners, frames and timers', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { life } = living();
  const subject = foreign({ value: 0 });
  const work = vi.fn();
  life.follow(subject, 'change', work);
  life.on(document.body, 'click', work);
  life.after('later', 10, work);
  life.nextFrame(work);
  life.end();
  subject.set('value', 1);
  document.body.click();
  vi.advanceTimersByTime(20);
  vi.useRealTimers();
  await nextFrame();
  expect([work.mock.calls.length, listenerCount(subject)]).toEqual([0, 0]);
});

it('replaces a timer of the same name', () => {
  vi.useFakeTimers();
  const { life } = living();
  const [first, second] = [vi.fn(), vi.fn()];
  life.after('ask', 10, first);
  life.after('ask', 10, second);
  vi.advanceTimersByTime(20);
  vi.useRealTimers();
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
});
