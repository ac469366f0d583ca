// Views of a lesson are as high as what they show, and light or dark with the site. A page opened from disk may not look
// into its frames: there they keep their height and follow the system.
function fit(frame) {
  const inner = frame.contentDocument;
  if (!inner?.body) return;
  const measure = () => {
    const height = Math.ceil(inner.body.getBoundingClientRect().height) + 24;
    if (Math.abs(height - frame.offsetHeight) > 8) frame.style.height = `${height}px`;
  };
  new ResizeObserver(measure).observe(inner.body);
  const dress = () => {
    const light = document.body.dataset.mdColorScheme !== 'slate';
    const button = inner.getElementById('memviz-theme');
    if (button && inner.documentElement.dataset.jpThemeLight !== String(light)) button.click();
  };
  new MutationObserver(dress).observe(document.body, { attributeFilter: ['data-md-color-scheme'] });
  dress();
}
for (const frame of document.querySelectorAll('.lesson-view')) {
  frame.addEventListener('load', () => fit(frame));
  if (frame.contentDocument?.readyState === 'complete' && frame.contentWindow.location.href !== 'about:blank') fit(frame);
}
