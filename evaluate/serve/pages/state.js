// The state of a page stands in its address, so that it can be shared, kept, and gone back to.

export function read() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  return { view: path || 'search', values: Object.fromEntries(new URLSearchParams(query || '')) };
}

export function link(view, values) {
  const given = Object.entries(values || {}).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return `#/${view}${given.length ? `?${new URLSearchParams(given)}` : ''}`;
}

export function go(view, values) {
  location.hash = link(view, values);
}

// Changes the address without a new entry in the history, and without drawing the page anew.
export function note(view, values) {
  history.replaceState(null, '', link(view, values));
}
