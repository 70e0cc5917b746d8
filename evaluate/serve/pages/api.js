// Addresses of the HTTP interface, and asking it.

export function address(path, parameters) {
  const given = Object.entries(parameters || {}).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export async function ask(path, parameters, options) {
  let answer;
  try {
    answer = await fetch(address(path, parameters), options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('featx serve does not answer; is it still running?');
  }
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error || answer.statusText);
  return content;
}

export const frame = (video, time, height = 160) => address('/api/frame', { video, time_s: time, height });
export const media = (video) => address('/media', { video });
export const clip = (hit) => address('/api/clip', { video: hit.video, first_row: hit.first_row, rows: hit.rows });
