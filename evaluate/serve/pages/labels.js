// The Labels view: all labels, and how to learn from them. Giving one: a form on a result.

import { ask, frame } from './api.js';
import { announce, clock, h } from './dom.js';
import { link, read } from './state.js';

let classes = []; // that were given before, to choose from

export async function show(place) {
  document.title = 'Labels – featx';
  draw(place, await ask('/api/labels'));
}

function draw(place, { file, labels, classes: known }) {
  classes = known;
  if (!labels.length) {
    place.replaceChildren(h('h1', {}, 'Labels'), h('p', {}, 'There are none yet. Search, and press “Label” below a result.'));
    return;
  }
  const remove = (one) => async () => {
    try {
      draw(place, await ask('/api/labels', { id: one.id }, { method: 'DELETE' }));
      announce(`Removed: ${one.label}`);
      place.querySelector('h1').focus();
    } catch (error) {
      announce(error.message, true);
    }
  };
  const head = h('tr', {}, ['Class', 'Frame', 'Video', 'From', 'To', ''].map((name) => h(name ? 'th' : 'td', { scope: name ? 'col' : null }, name)));
  const rows = labels.map((one) => h('tr', {}, h('th', { scope: 'row' }, one.label),
    h('td', {}, h('img', { loading: 'lazy', height: 60, src: frame(one.video, (one.start_s + one.end_s) / 2, 60), alt: `Frame of ${one.video}` })),
    h('td', {}, h('a', { href: link('video', { video: one.video, t: one.start_s }) }, one.video)),
    h('td', {}, clock(one.start_s)), h('td', {}, clock(one.end_s)),
    h('td', {}, h('button', { type: 'button', 'aria-label': `Remove ${one.label} of ${one.video}, ${clock(one.start_s)}`, onclick: remove(one) }, 'Remove'))));
  place.replaceChildren(h('h1', { tabindex: -1 }, 'Labels'),
    h('p', {}, `${labels.length.toLocaleString()} parts of videos in ${known.length} classes. Every change is saved at once in `, h('code', {}, file), '.'),
    h('p', {}, 'To learn from them: ', h('code', {}, `featx train --store STORE --manifest ${file} --to runs/mine`)),
    h('div', { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': 'Labels' }, h('table', {}, h('thead', {}, head), h('tbody', {}, rows))));
}

// Returns a form that labels the part of a result; its times may be changed.
export function form(hit, done) {
  const save = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    try {
      const { classes: known } = await ask('/api/labels', { video: hit.video, ...given }, { method: 'POST' });
      classes = known;
      announce(`Saved: ${given.label}`);
      done();
    } catch (error) {
      announce(error.message, true);
    }
  };
  const id = `classes-${hit.video}-${hit.first_row}`;
  const number = (name, text, value) => h('label', {}, text, h('input', { type: 'number', name, min: 0, step: 0.001, required: true, value: value.toFixed(3) }));
  return h('form', { class: 'label', onsubmit: save },
    h('label', {}, 'Class', h('input', { name: 'label', required: true, maxlength: 200, list: id, value: read().values.q || '' })),
    h('datalist', { id }, classes.map((name) => h('option', { value: name }))),
    number('start_s', 'From, in seconds', hit.start_s), number('end_s', 'To', hit.end_s),
    h('button', { class: 'main' }, 'Save'), h('button', { type: 'button', onclick: done }, 'Close'));
}
