// Elements without HTML in strings: whatever a file is called stays text.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// hh:mm:ss.mmm, without hours that are 0
export function clock(time) {
  if (time === null || time === undefined || Number.isNaN(time)) return '';
  const thousandths = Math.round(Math.abs(time) * 1000);
  const pad = (number, width) => String(number).padStart(width, '0');
  const hours = Math.floor(thousandths / 3600000);
  const rest = `${pad(Math.floor(thousandths / 60000) % 60, 2)}:${pad(Math.floor(thousandths / 1000) % 60, 2)}`;
  return `${time < 0 ? '-' : ''}${hours ? `${hours}:` : ''}${rest}.${pad(thousandths % 1000, 3)}`;
}

// Says something to people who look and to those who listen.
export function announce(text, isError = false) {
  const place = document.getElementById('status');
  place.textContent = text;
  place.classList.toggle('error', isError);
}
