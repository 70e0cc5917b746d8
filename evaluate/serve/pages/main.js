// Which view is shown, and the keys that work everywhere.

import { announce } from './dom.js';
import { go, read } from './state.js';
import * as labels from './labels.js';
import * as search from './search.js';
import * as store from './store.js';
import * as video from './video.js';

const VIEWS = { search, video, labels, store };
const content = document.getElementById('content');
const keys = document.getElementById('keys');
let shown = null;

async function show() {
  const { view, values } = read();
  const module = VIEWS[view] || search;
  for (const anchor of document.querySelectorAll('nav a')) {
    if (VIEWS[anchor.dataset.view] === module) anchor.setAttribute('aria-current', 'page');
    else anchor.removeAttribute('aria-current');
  }
  announce('');
  if (shown && shown.leave && shown !== module) shown.leave();
  shown = module;
  try {
    await module.show(content, values);
  } catch (error) {
    if (error.name !== 'AbortError') announce(error.message, true);
  }
}

function isWriting(target) {
  return target.closest('input, textarea, select, dialog') !== null;
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
  const [views, place] = [Object.keys(VIEWS), '1234'.indexOf(event.key)];
  if (event.key === '?') keys.showModal();
  else if (place >= 0) go(views[place]);
  else if (event.key === '/') {
    const field = document.querySelector('input[type=search]');
    if (field) field.focus();
  } else if (!(shown.onKey && shown.onKey(event))) return;
  event.preventDefault();
});

document.getElementById('keys-button').addEventListener('click', () => keys.showModal());
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address belongs to the state
  content.focus();
});
window.addEventListener('hashchange', show);
show();
