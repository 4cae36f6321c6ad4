
// Keeps the page up to date while it is visible. The server sends the parts that have changed.
// Elements that are equal stay in the document, so that focus, selection and open tables are kept.
(() => {
  'use strict';
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy('minicluster', { createHTML: (text) => text })
    : { createHTML: (text) => text };
  const live = document.getElementById('live');
  const pause = document.getElementById('pause');
  let source = null;
  let paused = false;
  let retry = 0;
  let watch = 0;
  // An event arrives in each interval. A busy server may be late.
  const timeout = Math.max(10000, 3000 * Number(live.dataset.interval));

  const say = (text) => {
    if (live.textContent !== text) live.textContent = text;
  };

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || '') === (b.id || '');

  // become makes an element equal to another one.
  const become = (old, now) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== now.data) old.data = now.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (name !== 'open' && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of [...now.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const stay = new Set([...now.children].map((child) => child.id).filter(Boolean));
    let at = old.firstChild;
    for (const next of [...now.childNodes]) {
      while (at && at.id && at.id !== next.id && !stay.has(at.id)) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      if (at && alike(at, next)) {
        become(at, next);
        at = at.nextSibling;
      } else {
        old.insertBefore(next, at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  // localize replaces times in UTC by the local ones.
  const two = (n) => String(n).padStart(2, '0');
  const clock = (at, seconds) => two(at.getHours()) + ':' + two(at.getMinutes()) + (seconds ? ':' + two(at.getSeconds()) : '');
  const zone = (() => {
    const part = new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' }).formatToParts(new Date()).find((p) => p.type === 'timeZoneName');
    return part ? part.value : 'local time';
  })();
  const localize = (within) => {
    for (const e of within.querySelectorAll('time[datetime]')) e.textContent = clock(new Date(e.dateTime), e.textContent.length > 5);
    for (const e of within.querySelectorAll('text[data-at]')) e.textContent = clock(new Date(e.dataset.at), false);
    for (const e of within.querySelectorAll('.zone')) e.textContent = zone;
  };

  // The values of a chart under the pointer.
  const reading = document.createElement('div');
  reading.id = 'reading';
  reading.hidden = true;
  document.body.append(reading);
  const read = (event) => {
    const plot = event.target instanceof Element ? event.target.closest('.plot') : null;
    reading.hidden = !plot;
    if (!plot) return;
    const box = plot.getBoundingClientRect();
    const width = box.width / 440;
    const part = Math.min(1, Math.max(0, (event.clientX - box.left - 46 * width) / (386 * width)));
    const from = Number(plot.dataset.from);
    let at = 0;
    const lines = [];
    for (const path of plot.querySelectorAll('path[data-values]')) {
      const values = path.dataset.values.split(',');
      at = Math.round(part * (values.length - 1));
      let index = at;
      while (index > 0 && values[index] === '') index--;
      lines.push(path.dataset.label + ' ' + values[index]);
      at /= values.length - 1;
    }
    if (lines.length === 0) {
      reading.hidden = true;
      return;
    }
    reading.textContent = [clock(new Date(from + at * (Number(plot.dataset.to) - from)), true), ...lines].join('\n');
    reading.style.left = Math.max(0, Math.min(event.clientX + 14, document.documentElement.clientWidth - reading.offsetWidth - 4)) + 'px';
    reading.style.top = Math.max(0, Math.min(event.clientY + 14, window.innerHeight - reading.offsetHeight - 4)) + 'px';
  };
  document.addEventListener('pointermove', read, { passive: true });
  document.addEventListener('pointerdown', read, { passive: true });
  document.addEventListener('scroll', () => { reading.hidden = true; }, { passive: true });

  const update = (text) => {
    const parsed = new DOMParser().parseFromString(policy.createHTML(text), 'text/html');
    localize(parsed);
    for (const part of parsed.querySelectorAll('body > [id], body > table > tbody > tr')) {
      const old = document.getElementById(part.id);
      if (old) become(old, part);
    }
  };

  const stop = () => {
    clearTimeout(retry);
    clearTimeout(watch);
    if (source) source.close();
    source = null;
  };

  // expect shows a message if no event arrives in time: a connection can be lost without an error.
  const expect = () => {
    clearTimeout(watch);
    watch = setTimeout(() => {
      say('Not updated since the time above: no response from the server');
      start();
    }, timeout);
  };

  const start = () => {
    stop();
    if (paused || document.hidden) return;
    const url = new URL(window.location.href);
    url.hash = '';
    url.searchParams.set('watch', 'true');
    source = new EventSource(url);
    expect();
    source.onmessage = (event) => {
      update(event.data);
      say('Live');
      expect();
    };
    source.onerror = () => {
      // A stream ends after a minute, and the browser opens the next one.
      if (!source || source.readyState !== EventSource.CLOSED) return;
      clearTimeout(watch);
      say('Not updated: the server is unavailable, has too many clients, or denies access');
      retry = setTimeout(start, 10000);
    };
  };

  localize(document);
  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.textContent = paused ? 'Resume' : 'Pause';
    if (paused) say('Paused');
    start();
  });
  document.addEventListener('visibilitychange', start);
  window.addEventListener('pagehide', stop);
  window.addEventListener('pageshow', start);
})();
