// Plays a part of a video in place; a file that this browser cannot play is played as a clip that the server cuts.

import { clip, media } from './api.js';
import { h } from './dom.js';

const AROUND_S = 1; // of a single frame

export function playPart(hit, onTrouble) {
  const isFrame = hit.rows === 1;
  const start = Math.max(hit.start_s - hit.begin_s - (isFrame ? AROUND_S : 0), 0);
  const end = hit.end_s - hit.begin_s + (isFrame ? AROUND_S : 0);
  const video = h('video', { controls: true, muted: true, playsinline: true, preload: 'auto', 'aria-label': `${hit.video}, ${hit.start} to ${hit.end}` });
  video.muted = true;
  let whole = true;
  video.addEventListener('loadedmetadata', () => {
    if (!video.videoWidth) return fallBack(); // sound without a picture
    if (whole) video.currentTime = start;
    video.play().catch(() => {});
  });
  video.addEventListener('timeupdate', () => {
    if (whole && !video.seeking && !video.paused && video.currentTime >= end) {
      video.pause();
      video.currentTime = end;
      video.dataset.ended = 'true';
    }
  });
  video.addEventListener('play', () => {
    if (whole && (video.dataset.ended || video.currentTime >= end - 0.05)) video.currentTime = start;
    delete video.dataset.ended;
  });
  video.addEventListener('ended', () => { video.dataset.ended = 'true'; }); // the part ends with the file
  video.addEventListener('error', fallBack);
  function fallBack() {
    if (!whole) return onTrouble('This part cannot be played: the file is missing, damaged, or the part is longer than 2 minutes.');
    whole = false;
    video.src = clip(hit);
  }
  video.src = media(hit.video);
  return video;
}

export function stop(video) {
  video.pause();
  video.removeAttribute('src');
  video.load(); // ends the connection
}
