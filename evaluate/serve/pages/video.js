// The Video view: a player, and below it the curve of each query and what is annotated, on one time axis.

import { ask, frame, media } from './api.js';
import { announce, clock, h, svg } from './dom.js';
import { stop } from './player.js';
import { go, link, note, read } from './state.js';

const HEIGHT = 120; // of the curves, in units of the drawing; WIDTH is as wide as the time axis
const WIDTH = 1000;
const MOST_QUERIES = 4;
let current = null; // what is shown

export function leave() {
  if (current && current.player) stop(current.player);
  current = null;
}

export async function show(place, values) {
  leave();
  document.title = values.video ? `${values.video} – featx` : 'Video – featx';
  if (!values.video) {
    place.replaceChildren(chooser(''), h('ul', { class: 'plain', id: 'videos' }));
    await list('');
    return;
  }
  const about = await ask('/api/video', { video: values.video });
  const axis = { first: about.first_s ?? 0, last: Math.max(about.last_s ?? 1, (about.first_s ?? 0) + (about.duration_s ?? 0)), begin: about.begin_s };
  current = { about, axis, curves: [], time: Number(values.t ?? axis.first) };
  current.player = player(about);
  const picture = h('img', { class: 'still', hidden: true, alt: '' });
  Object.assign(current, { picture });
  place.replaceChildren(
    h('h1', {}, about.video),
    h('p', { class: 'facts' }, facts(about)),
    h('div', { class: 'screen' }, current.player, picture),
    queries(values),
    timeline(about, axis),
    ...about.captions.map((caption) => h('p', { class: 'caption' }, `“${caption}”`)));
  seek(current.time, false);
  await curves(values);
}

function facts(about) {
  const known = [about.duration_s === null ? null : clock(about.duration_s), `${about.rows.toLocaleString()} rows`, about.width ? `${about.width} × ${about.height}` : null, about.labels.length ? `class ${about.labels.join(', ')}` : null, about.complete ? null : 'damaged: only its intact frames', about.state === 'there' ? null : `the file is ${about.state}`];
  return known.filter(Boolean).join(' · ');
}

function player(about) {
  const video = h('video', { controls: true, playsinline: true, preload: 'metadata', 'aria-label': about.video });
  video.addEventListener('loadedmetadata', () => {
    if (!video.videoWidth) return instead();
    video.currentTime = Math.max(current.time - about.begin_s, 0);
  });
  video.addEventListener('timeupdate', () => {
    if (current && current.player === video && video.readyState > 0 && !current.picture.src) moveHead(video.currentTime + about.begin_s);
  });
  video.addEventListener('error', instead);
  function instead() {
    if (!current || current.player !== video || !video.getAttribute('src')) return;
    video.hidden = true;
    current.picture.hidden = false;
    seek(current.time, false);
    announce(about.state === 'missing' ? 'The file is missing; start featx serve with --videos FOLDER.' : 'This browser cannot play the file; frames are shown instead.', about.state === 'missing');
  }
  video.src = media(about.video);
  return video;
}

function queries(values) {
  const submit = (event) => {
    event.preventDefault();
    const q = new FormData(event.target).get('q');
    note('video', { ...read().values, q });
    curves(read().values).catch((error) => announce(error.message, true));
  };
  return h('form', { class: 'query', onsubmit: submit },
    h('div', { class: 'line' },
      h('label', { class: 'wide' }, 'Curves of (several with ; between them)', h('input', { type: 'search', name: 'q', value: values.q || '', maxlength: 2000, autocomplete: 'off' })),
      h('button', { class: 'main' }, 'Draw'),
      h('a', { class: 'button', href: link('search', { q: values.q }) }, 'Back to search')));
}

function timeline(about, axis) {
  const labels = [...new Set(about.segments.map(({ label }) => label))];
  const bars = labels.map((label) => h('div', { class: 'lane' },
    h('span', { class: 'lane-name' }, label),
    svg('svg', { viewBox: `0 0 ${WIDTH} 16`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${label}: ${about.segments.filter((one) => one.label === label).map((one) => `${clock(one.start_s)} to ${clock(one.end_s)}`).join(', ')}` },
      about.segments.filter((one) => one.label === label).map((one) => svg('rect', { class: 'truth', x: across(one.start_s), width: Math.max(across(one.end_s) - across(one.start_s), 1), y: 2, height: 12 })))));
  current.head = svg('line', { class: 'head', y1: 0, y2: HEIGHT, x1: 0, x2: 0 });
  current.lines = svg('g', {});
  const drawing = svg('svg', { class: 'curves', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, current.lines, current.head);
  const preview = h('img', { class: 'preview', alt: '', hidden: true });
  current.slider = h('div', {
    class: 'axis', role: 'slider', tabindex: 0, 'aria-label': 'Time in the video', 'aria-valuemin': axis.first.toFixed(3), 'aria-valuemax': axis.last.toFixed(3), onkeydown: step,
    onclick: (event) => seek(timeAt(event)), onpointermove: (event) => hover(event, preview), onpointerleave: () => { preview.hidden = true; },
  }, drawing, preview);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => h('span', {}, clock(axis.first + part * (axis.last - axis.first))));
  current.legend = h('ul', { class: 'legend', 'aria-label': 'Curves' });
  current.range = h('p', { class: 'facts' });
  return h('section', { class: 'timeline', 'aria-label': 'Timeline' }, current.slider, h('div', { class: 'ticks', 'aria-hidden': 'true' }, ticks), bars, current.legend, current.range);
}

function across(time) {
  const { first, last } = current.axis;
  return last > first ? ((time - first) / (last - first)) * WIDTH : 0;
}

function timeAt(event) {
  const box = current.slider.getBoundingClientRect();
  const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  return current.axis.first + part * (current.axis.last - current.axis.first);
}

let hovering = 0;
function hover(event, preview) {
  const time = timeAt(event);
  const box = current.slider.getBoundingClientRect();
  clearTimeout(hovering);
  const { video } = current.about;
  hovering = setTimeout(() => { // not for every pixel that is passed
    preview.src = frame(video, time, 120);
    preview.style.left = `${Math.min(Math.max(event.clientX - box.left, 80), box.width - 80)}px`;
    preview.hidden = false;
  }, 120);
}

function step(event) {
  const { first, last } = current.axis;
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 };
  if (event.key in steps) seek(current.time + steps[event.key]);
  else if (event.key === 'Home') seek(first);
  else if (event.key === 'End') seek(last);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function seek(time, isNoted = true) {
  const { axis, player: video, picture, about } = current;
  const chosen = Math.min(Math.max(time, axis.first), axis.last);
  if (!picture.hidden) {
    picture.src = frame(about.video, chosen, 480);
    picture.alt = `Frame at ${clock(chosen)}`;
  } else if (video.readyState > 0) video.currentTime = Math.max(chosen - axis.begin, 0);
  moveHead(chosen);
  if (isNoted) note('video', { ...read().values, t: chosen.toFixed(3) });
}

function moveHead(time) {
  current.time = time;
  const x = across(time);
  current.head.setAttribute('x1', x);
  current.head.setAttribute('x2', x);
  current.slider.setAttribute('aria-valuenow', time.toFixed(3));
  const said = current.curves.map(({ name, curve }) => `${name} ${scoreAt(curve, time)}`);
  current.slider.setAttribute('aria-valuetext', [clock(time), ...said].join(', '));
  [...current.legend.children].forEach((item, number) => {
    item.querySelector('output').textContent = scoreAt(current.curves[number].curve, time);
  });
}

function scoreAt(curve, time) {
  let place = curve.time_s.findIndex((one) => one > time + 1e-6);
  if (place < 0) place = curve.time_s.length;
  return curve.score[Math.max(place - 1, 0)].toFixed(3);
}

async function curves(values) {
  const mine = current;
  const names = (values.q || '').split(';').map((one) => one.trim()).filter(Boolean).slice(0, MOST_QUERIES);
  const drawn = [];
  for (const q of names) drawn.push({ name: q, curve: await ask('/api/curve', { video: values.video, q }) });
  if (current !== mine) return; // another video by now
  current.curves = drawn;
  const every = drawn.flatMap(({ curve }) => curve.score);
  const [low, high] = [every.reduce((a, b) => Math.min(a, b), 1), every.reduce((a, b) => Math.max(a, b), -1)];
  const down = (score) => HEIGHT - 4 - ((score - low) / (high - low || 1)) * (HEIGHT - 8);
  current.lines.replaceChildren(...drawn.map(({ curve }, number) => svg('polyline', {
    class: `curve curve-${number}`, points: curve.time_s.map((time, row) => `${across(time).toFixed(2)},${down(curve.score[row]).toFixed(2)}`).join(' '),
  })));
  current.legend.replaceChildren(...drawn.map(({ name, curve }, number) => {
    const best = curve.score.indexOf(Math.max(...curve.score));
    return h('li', { class: `curve-${number}` }, h('span', { class: 'swatch' }), `${name} `, h('output', {}), ' ',
      h('button', { type: 'button', onclick: () => seek(curve.time_s[best]) }, `Best: ${clock(curve.time_s[best])}`));
  }));
  current.range.textContent = drawn.length ? `The drawing reaches from ${low.toFixed(3)} at the bottom to ${high.toFixed(3)} at the top.` : '';
  moveHead(current.time);
}

function chooser(find) {
  return h('form', { class: 'query', onsubmit: (event) => event.preventDefault() },
    h('div', { class: 'line' }, h('label', { class: 'wide' }, 'Find a video', h('input', { type: 'search', value: find, oninput: (event) => list(event.target.value).catch((error) => announce(error.message, true)) }))));
}

async function list(find) {
  const { videos, total } = await ask('/api/videos', { find, limit: 200 });
  const place = document.getElementById('videos');
  if (!place) return;
  place.replaceChildren(...videos.map(({ video }) => h('li', {}, h('a', { href: link('video', { video }) }, video))));
  announce(`${total.toLocaleString()} videos${total > videos.length ? `; the first ${videos.length} are shown` : ''}`);
}

export function onKey(event) {
  if (!current || event.target.closest('button, a, video, [role=slider]')) return false;
  if (event.key === ' ' && !current.player.hidden) {
    if (current.player.paused) current.player.play();
    else current.player.pause();
    return true;
  }
  if (event.key === 'Escape') {
    go('search', { q: read().values.q });
    return true;
  }
  return false;
}
