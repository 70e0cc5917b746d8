// The Search view: a query, its filters, and moments that play in place.

import { ask, clip, frame } from './api.js';
import { announce, clock, h } from './dom.js';
import { form as labelForm } from './labels.js';
import { playPart, stop } from './player.js';
import { go, link, note, read } from './state.js';

const LEVELS = { moments: 'Moments', videos: 'Videos', frames: 'Frames' };
const TOPS = [20, 100, 1000];
let cards = []; // of the results that are shown: { hit, item, button }
let playing = null; // { card, video }
let picture = null; // a File that was dropped, pasted or chosen
let asking = null; // of the request that is on its way

export function leave() {
  if (playing) stopPlaying();
  if (asking) asking.abort();
}

export async function show(place, values) {
  leave();
  if (values.q || values.like) picture = null;
  const results = h('ol', { class: 'results', 'aria-label': 'Results' });
  place.replaceChildren(form(values, results), results);
  document.title = values.q ? `${values.q} – featx` : 'Search – featx';
  if (!values.q && !values.like && !picture) {
    announce('Write what to look for, such as: a person opens a door. Or drop a picture here.');
    if (!matchMedia('(pointer: coarse)').matches) place.querySelector('input[type=search]').focus();
    return;
  }
  await search(values, results);
}

function form(values, results) {
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    delete given.picture;
    if (given.level === 'moments') delete given.level;
    if (given.top === '20') delete given.top;
    if (given.q) picture = null;
    else Object.assign(given, { like: values.like, like_s: values.like_s });
    const before = location.hash;
    go('search', given);
    if (location.hash === before) show(document.getElementById('content'), read().values);
  };
  const again = (event) => event.target.form.requestSubmit();
  return h('form', { class: 'query', role: 'search', onsubmit: submit, ondragover: (event) => event.preventDefault(), ondrop: dropped, onpaste: dropped },
    h('div', { class: 'line' },
      h('label', { class: 'wide' }, 'Search for', h('input', { type: 'search', name: 'q', value: values.q || '', maxlength: 2000, autocomplete: 'off' })),
      h('button', { class: 'main' }, 'Search')),
    values.like ? h('p', { class: 'like' }, 'Like the frame of ', h('b', {}, values.like), ` at ${clock(Number(values.like_s || 0))} `, h('img', { src: frame(values.like, values.like_s || 0, 60), alt: `Frame of ${values.like}` })) : null,
    picture ? h('p', { class: 'like' }, 'Like the picture ', h('b', {}, picture.name || 'that was pasted'), ' ', shownPicture()) : null,
    h('div', { class: 'line' },
      h('fieldset', {}, h('legend', {}, 'Find'),
        Object.entries(LEVELS).map(([level, name]) => h('label', { class: 'choice' }, h('input', { type: 'radio', name: 'level', value: level, checked: (values.level || 'moments') === level, onchange: again }), name))),
      h('label', {}, 'Results', h('select', { name: 'top', onchange: again }, TOPS.map((top) => h('option', { value: top, selected: String(top) === values.top }, String(top))))),
      threshold(values, results)),
    h('details', { open: Boolean(values.minus || values.folder || values.min_length_s || values.max_length_s) }, h('summary', {}, 'More'),
      h('div', { class: 'line' },
        h('label', {}, 'Minus', h('input', { name: 'minus', value: values.minus || '', placeholder: 'what it is not', maxlength: 2000 })),
        h('label', {}, 'Folder', h('input', { name: 'folder', value: values.folder || '', maxlength: 2000 })),
        h('label', {}, 'Videos of at least', h('input', { name: 'min_length_s', type: 'number', min: 0, step: 'any', value: values.min_length_s || '', placeholder: 'seconds' })),
        h('label', {}, 'and at most', h('input', { name: 'max_length_s', type: 'number', min: 0, step: 'any', value: values.max_length_s || '', placeholder: 'seconds' })),
        h('label', {}, 'Picture', h('input', { type: 'file', name: 'picture', accept: 'image/*', onchange: (event) => take(event.target.files[0]) })))));
}

function threshold(values, results) {
  const shown = h('output', {}, values.min_score || '');
  const slider = h('input', { type: 'range', name: 'min_score', class: 'threshold', min: -1, max: 1, step: 0.001, 'aria-label': 'Least score', disabled: true });
  slider.addEventListener('input', () => {
    shown.textContent = Number(slider.value).toFixed(3);
    filter(results, Number(slider.value));
  });
  slider.addEventListener('change', () => {
    const current = read().values;
    note('search', { ...current, min_score: slider.value === slider.min ? '' : slider.value });
  });
  return h('label', {}, 'Least score', slider, shown);
}

function shownPicture() {
  const url = URL.createObjectURL(picture);
  return h('img', { src: url, alt: 'The picture that is looked for', onload: () => URL.revokeObjectURL(url) });
}

function dropped(event) {
  const data = event.dataTransfer || event.clipboardData;
  const file = [...data.files].find((one) => one.type.startsWith('image/'));
  if (!file) return;
  event.preventDefault();
  take(file);
}

function take(file) {
  if (!file) return;
  picture = file;
  const { values } = read();
  note('search', { level: values.level, top: values.top, folder: values.folder });
  show(document.getElementById('content'), read().values);
}

async function search(values, results) {
  announce('Searching …');
  results.setAttribute('aria-busy', 'true');
  asking = new AbortController();
  const { min_score: least, ...given } = values;
  const options = { signal: asking.signal };
  if (picture) Object.assign(options, { method: 'POST', body: picture, headers: { 'content-type': picture.type } });
  const { hits, took_s: took } = await ask('/api/search', given, options);
  results.removeAttribute('aria-busy');
  cards = hits.map((hit, number) => card(hit, number));
  results.replaceChildren(...cards.map(({ item }) => item));
  const slider = document.querySelector('.threshold');
  if (hits.length) {
    const [best, worst] = [hits[0].score, hits[hits.length - 1].score];
    slider.min = Math.floor(worst * 1000) / 1000;
    slider.max = Math.ceil(best * 1000) / 1000;
    slider.disabled = false;
    slider.value = least || slider.min;
    slider.dispatchEvent(new Event('input'));
  }
  const count = `${hits.length.toLocaleString()} ${hits.length === 1 ? 'result' : 'results'}`;
  announce(hits.length ? `${count} in ${took.toFixed(2)} s` : 'Nothing was found; take fewer filters.');
}

function filter(results, least) {
  let kept = 0;
  for (const { hit, item } of cards) {
    item.hidden = hit.score < least - 1e-9;
    kept += item.hidden ? 0 : 1;
  }
  results.setAttribute('aria-label', `Results: ${kept} of ${cards.length}`);
  if (kept < cards.length) announce(`${kept} of ${cards.length} results have at least this score`);
}

function card(hit, number) {
  const times = hit.start_s === null ? `rows ${hit.first_row} to ${hit.first_row + hit.rows - 1}` : `${clock(hit.start_s)} – ${clock(hit.end_s)}`;
  const { q } = read().values;
  const middle = (hit.start_s + hit.end_s) / 2;
  const thumbnail = h('img', { loading: 'lazy', src: frame(hit.video, middle), alt: `Frame of ${hit.video} at ${clock(middle)}`, height: 160 });
  thumbnail.addEventListener('error', () => thumbnail.replaceWith(h('span', { class: 'no-picture' }, 'No picture: the file is missing or damaged')));
  const button = h('button', { class: 'play', type: 'button', 'aria-label': `Play ${hit.video}, ${times}` }, thumbnail);
  const like = { like: hit.video, like_s: middle, level: read().values.level };
  const item = h('li', { class: 'card' },
    h('div', { class: 'stage' }, button),
    h('p', { class: 'name', title: hit.file }, `${number + 1}. ${hit.video}`),
    h('p', { class: 'times' }, times, h('span', { class: 'score', title: 'cosine' }, hit.score.toFixed(3))),
    h('p', { class: 'actions' },
      h('a', { class: 'open', href: link('video', { video: hit.video, t: hit.start_s, q }) }, 'Open'),
      h('a', { class: 'more', href: link('search', like) }, 'More like this'),
      h('a', { href: clip(hit), download: true }, 'Clip'),
      hit.start_s === null ? null : h('button', { class: 'mark', type: 'button', onclick: (event) => openLabel(event.target, hit) }, 'Label')));
  const made = { hit, item, button };
  button.addEventListener('click', () => play(made));
  return made;
}

function openLabel(button, hit) {
  const item = button.closest('.card');
  const close = () => {
    item.querySelector('form').remove();
    button.focus();
  };
  if (item.querySelector('form')) return close();
  item.append(labelForm(hit, close));
  item.querySelector('form input').focus();
}

function play(card) {
  const same = playing && playing.card === card;
  if (playing) stopPlaying();
  if (same) return;
  const video = playPart(card.hit, (why) => {
    stopPlaying();
    announce(why, true);
  });
  card.button.hidden = true;
  card.item.querySelector('.stage').append(video);
  card.item.classList.add('playing');
  playing = { card, video };
  video.focus({ preventScroll: true });
}

function stopPlaying() {
  const { card, video } = playing;
  playing = null;
  const hadFocus = card.item.contains(document.activeElement);
  stop(video);
  video.remove();
  card.item.classList.remove('playing');
  card.button.hidden = false;
  if (hadFocus) card.button.focus();
}

export function onKey(event) {
  const visible = cards.filter(({ item }) => !item.hidden && item.isConnected);
  const place = visible.findIndex(({ item }) => item.contains(document.activeElement));
  const columns = countColumns(visible);
  const steps = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  if (event.key in steps && visible.length) {
    if (event.target.tagName === 'VIDEO' && event.key.startsWith('Arrow')) return false; // the player's own
    const next = place < 0 ? 0 : Math.min(Math.max(place + steps[event.key], 0), visible.length - 1);
    focus(visible[next]);
    return true;
  }
  if (place < 0) return false;
  if (event.key === 'Escape' && playing) stopPlaying();
  else if (event.key === 'Enter' && event.target.tagName === 'VIDEO') play(visible[place]);
  else if (event.key === 'o') visible[place].item.querySelector('.open').click();
  else if (event.key === 'l' && visible[place].item.querySelector('.mark')) visible[place].item.querySelector('.mark').click();
  else if (event.key === 'm') visible[place].item.querySelector('.more').click();
  else return false;
  return true;
}

function focus(card) {
  if (playing && playing.card !== card) stopPlaying();
  (playing ? playing.video : card.button).focus();
  card.item.scrollIntoView({ block: 'nearest' });
}

function countColumns(visible) {
  if (!visible.length) return 1;
  const top = visible[0].item.offsetTop;
  const next = visible.findIndex(({ item }) => item.offsetTop !== top);
  return next < 0 ? visible.length : next;
}
