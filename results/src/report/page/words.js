// Words and small helpers. Whatever comes from the run is put into the page as text, never as HTML.

/** The one name that is visible outside: what tests and curious people may look at. */
const trueline = { ready: false, errors: [] };
window.trueline = trueline;
window.addEventListener('error', (event) => trueline.errors.push(String(event.message)));
window.addEventListener('unhandledrejection', (event) => trueline.errors.push(String(event.reason)));

const byId = (id) => document.getElementById(id);

/** A new element with this text. */
function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = plain(text);
  if (className) element.className = className;
  return element;
}

/** Text in one line: without control characters and without those that turn the direction of writing. */
function plain(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069]/g, ' ');
}

/** 1234567 as 1,234,567. */
const grouped = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ',');

/** A moment, as precise as a view of this width asks for. As in the sentences, digits are cut off and not rounded. */
function moment(ns, width) {
  const digits = width === undefined ? 6 : Math.max(0, Math.min(9, Math.ceil(9 - Math.log10(width)) + 2));
  const unit = 10 ** (9 - digits);
  return ((Math.floor(ns / unit) * unit) / 1e9).toFixed(digits) + ' s';
}

/** A duration with the unit that suits it. */
function duration(ns) {
  if (ns < 1e3) return ns.toFixed(0) + ' ns';
  if (ns < 1e6) return (ns / 1e3).toFixed(ns < 1e4 ? 1 : 0) + ' µs';
  if (ns < 1e9) return (ns / 1e6).toFixed(ns < 1e7 ? 2 : ns < 1e8 ? 1 : 0) + ' ms';
  return (ns / 1e9).toFixed(ns < 1e11 ? 2 : 0) + ' s';
}

const OUTCOMES = ['ok', 'mismatch', 'fail', 'info'];
const OUTCOME_WORDS = ['ok', 'not equal', 'failed: not done', 'unknown'];

/** The first place in a sorted array whose value is not below the wanted one. */
function lowerBound(sorted, wanted, from = 0, to = sorted.length) {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (sorted[middle] < wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
