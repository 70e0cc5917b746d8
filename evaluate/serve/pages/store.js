// The Store view: what is in the store, what failed and why, and the list of videos.

import { ask } from './api.js';
import { announce, clock, h } from './dom.js';
import { link, note, read } from './state.js';

const PAGE = 100;

export async function show(place, values) {
  document.title = 'Store – featx';
  const about = await ask('/api/store');
  const table = h('div', { id: 'videos' });
  const find = (event) => {
    note('store', { find: event.target.value });
    list(event.target.value, 0).catch((error) => announce(error.message, true));
  };
  place.replaceChildren(
    h('h1', {}, 'Store'),
    h('dl', { class: 'figures' }, figures(about).flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])),
    about.coverage ? coverage(about.coverage) : '',
    h('h2', {}, 'Failures'),
    about.failures.length ? failures(about) : h('p', {}, 'No video failed.'),
    about.folders.length ? h('h2', {}, 'Folders') : '',
    h('ul', { class: 'plain' }, about.folders.map(({ folder, videos }) => h('li', {}, h('a', { href: link('search', { folder }) }, folder), ` ${videos.toLocaleString()} videos`))),
    h('h2', {}, 'Videos'),
    h('form', { class: 'query', onsubmit: (event) => event.preventDefault() },
      h('div', { class: 'line' }, h('label', { class: 'wide' }, 'Find', h('input', { type: 'search', value: values.find || '', oninput: find })))),
    table);
  await list(values.find || '', Number(values.offset || 0));
}

function figures(about) {
  const size = about.bytes >= 1e9 ? `${(about.bytes / 1e9).toFixed(2)} GB` : `${(about.bytes / 1e6).toFixed(1)} MB`;
  const { fingerprint } = about;
  return [
    ['Folder', about.store],
    ['Videos', about.videos.toLocaleString()],
    ['Hours', about.hours.toFixed(2)],
    ['Rows', about.rows.toLocaleString()],
    ['Size', `${size}, ${about.format}`],
    ['Model', `${fingerprint.model}, ${fingerprint.width} numbers a row`],
    ['Frames', fingerprint.sampling || 'every frame'],
    ['Damaged videos', about.incomplete_videos.length.toLocaleString()],
    ['Failed videos', about.failed_videos.toLocaleString()],
  ];
}

function coverage({ manifest, videos, missing, missing_ids: ids }) {
  return h('section', {}, h('h2', {}, `Manifest ${manifest}`),
    h('p', {}, `${(videos - missing).toLocaleString()} of ${videos.toLocaleString()} videos are in the store.`),
    missing ? h('details', {}, h('summary', {}, `${missing.toLocaleString()} are missing`), h('ul', {}, ids.map((id) => h('li', {}, id)))) : '');
}

function failures({ failures: rows, failed_videos: count }) {
  const more = count > rows.length ? h('p', {}, `${(count - rows.length).toLocaleString()} more stand in failures.jsonl.`) : '';
  return h('div', {}, scroller('Failed videos', h('table', {}, h('thead', {}, h('tr', {}, ['Video', 'When', 'Reason', 'What became of it'].map((name) => h('th', { scope: 'col' }, name)))),
    h('tbody', {}, rows.map((one) => h('tr', {}, h('th', { scope: 'row' }, one.id), h('td', {}, one.stage), h('td', {}, one.error), h('td', {}, one.outcome)))))), more);
}

// A wide table scrolls by itself; whoever has no mouse scrolls it with the arrow keys.
function scroller(name, table) {
  return h('div', { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': name }, table);
}

async function list(find, offset) {
  const { videos, total } = await ask('/api/videos', { find, offset, limit: PAGE });
  const place = document.querySelector('div#videos');
  if (!place) return;
  const head = h('tr', {}, ['Video', 'Length', 'Rows', 'Size', 'File'].map((name) => h('th', { scope: 'col' }, name)));
  const rows = videos.map((one) => h('tr', {},
    h('th', { scope: 'row' }, h('a', { href: link('video', { video: one.video }) }, one.video)),
    h('td', {}, clock(one.duration_s)), h('td', {}, one.rows.toLocaleString()), h('td', {}, one.width ? `${one.width} × ${one.height}` : ''),
    h('td', { class: one.state === 'there' ? '' : 'error' }, one.complete ? one.state : `${one.state}, damaged`)));
  const turn = (by) => () => {
    note('store', { ...read().values, offset: offset + by || '' });
    list(find, offset + by).catch((error) => announce(error.message, true));
  };
  place.replaceChildren(scroller('Videos', h('table', {}, h('thead', {}, head), h('tbody', {}, rows))),
    h('p', { class: 'actions' }, h('button', { type: 'button', disabled: offset <= 0, onclick: turn(-PAGE) }, 'Previous'), ` ${total ? offset + 1 : 0} to ${offset + videos.length} of ${total.toLocaleString()} `,
      h('button', { type: 'button', disabled: offset + videos.length >= total, onclick: turn(PAGE) }, 'Next')));
}
