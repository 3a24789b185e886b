// What is being drawn: subjects with a box at each of some keyframes. Boxes are [x0, y0, x1, y1], fractions of the frame.

export const COLOURS = ["#e8710a", "#2f6fdf", "#1a9a5b", "#b2409a", "#c9a400", "#0b8a8f", "#d93d3d", "#7a5cd6"];
const SMALLEST = 0.02;
const KEPT = "ivgbench-draft";

export class Draft extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { backbone: null, prompt: "", subjects: [], frame: 0, frames: 1, chosen: 0 });
  }

  /** Everything that shows the draft hears of a change. */
  changed() {
    this.keep();
    this.dispatchEvent(new Event("change"));
  }

  get subject() {
    return this.subjects[this.chosen];
  }

  addSubject(phrase = "") {
    const free = COLOURS.find((one) => !this.subjects.some((other) => other.colour === one));
    this.subjects.push({ phrase, colour: free ?? COLOURS[0], keys: new Map() });
    this.chosen = this.subjects.length - 1;
  }

  removeSubject(index) {
    this.subjects.splice(index, 1);
    if (!this.subjects.length) this.addSubject();
    this.chosen = Math.min(this.chosen, this.subjects.length - 1);
    this.changed();
  }

  choose(index) {
    if (this.chosen === index) return;
    this.chosen = index;
    this.changed();
  }

  go(frame) {
    this.frame = Math.max(0, Math.min(this.frames - 1, frame));
    this.dispatchEvent(new Event("change"));
  }

  /** Sets the box of a subject at a frame: a keyframe. */
  put(subject, frame, box) {
    subject.keys.set(frame, tidy(box));
    this.changed();
  }

  drop(subject, frame) {
    if (subject.keys.delete(frame)) this.changed();
  }

  /** Moves a keyframe in time; not onto another one. */
  shift(subject, from, to) {
    if (to < 0 || to >= this.frames || subject.keys.has(to) || !subject.keys.has(from)) return false;
    subject.keys.set(to, subject.keys.get(from));
    subject.keys.delete(from);
    this.frame = to;
    this.changed();
    return true;
  }

  /** Another number of frames: keyframes keep their place in time. */
  resize(frames) {
    const scale = this.frames > 1 ? (frames - 1) / (this.frames - 1) : 1;
    if (frames !== this.frames) {
      for (const one of this.subjects) {
        one.keys = new Map([...one.keys].map(([frame, box]) => [Math.min(frames - 1, Math.round(frame * scale)), box]));
      }
    }
    this.frames = frames;
    this.frame = Math.min(this.frame, frames - 1);
  }

  /** As the server reads it. */
  asked() {
    return {
      prompt: this.prompt,
      subjects: this.subjects.map((one) => ({
        phrase: one.phrase,
        keyframes: [...one.keys].sort((a, b) => a[0] - b[0]).map(([frame, box]) => ({ frame, box })),
      })),
    };
  }

  example(prompt, phrase) {
    this.prompt = prompt;
    this.subjects = [];
    this.addSubject(phrase);
    this.frame = 0;
  }

  /** The draft stays where the page is loaded again. */
  keep() {
    try {
      sessionStorage.setItem(KEPT, this.told());
    } catch { /* a browser that keeps nothing */ }
  }

  /** All that is drawn, as a text. */
  told() {
    const subjects = this.subjects.map((one) => ({ ...one, keys: [...one.keys] }));
    const { backbone, prompt, frames } = this;
    return JSON.stringify({ backbone, prompt, frames, subjects });
  }

  /** Becomes what a text tells; false where it tells nothing. */
  take(text) {
    const kept = JSON.parse(text);
    if (!kept?.subjects?.length) return false;
    Object.assign(this, { prompt: kept.prompt, frames: kept.frames, backbone: kept.backbone });
    this.subjects = kept.subjects.map((one) => ({ ...one, keys: new Map(one.keys) }));
    this.chosen = Math.min(this.chosen, this.subjects.length - 1);
    return true;
  }

  restore() {
    try {
      return this.take(sessionStorage.getItem(KEPT));
    } catch {
      return false;
    }
  }
}

/** Where a subject is at a frame: linear between keyframes, at rest before the first and after the last; or null. */
export function boxAt(subject, frame) {
  const at = [...subject.keys.keys()].sort((a, b) => a - b);
  if (!at.length) return null;
  if (frame <= at[0]) return subject.keys.get(at[0]);
  if (frame >= at.at(-1)) return subject.keys.get(at.at(-1));
  const next = at.findIndex((one) => one >= frame);
  const share = (frame - at[next - 1]) / (at[next] - at[next - 1]);
  const [before, after] = [subject.keys.get(at[next - 1]), subject.keys.get(at[next])];
  return before.map((value, side) => value + share * (after[side] - value));
}

/** A box within the frame, its corners in order, not too small, in four decimals. */
export function tidy([x0, y0, x1, y1]) {
  const [left, right] = side(x0, x1);
  const [top, bottom] = side(y0, y1);
  return [left, top, right, bottom].map((value) => Math.round(value * 1e4) / 1e4);
}

function side(a, b) {
  let [low, high] = [Math.min(a, b), Math.max(a, b)].map((value) => Math.max(0, Math.min(1, value)));
  if (high - low < SMALLEST) [low, high] = low + SMALLEST <= 1 ? [low, low + SMALLEST] : [1 - SMALLEST, 1];
  return [low, high];
}

/** A box moved as a whole, kept within the frame. */
export function moved([x0, y0, x1, y1], dx, dy) {
  dx = Math.max(-x0, Math.min(1 - x1, dx));
  dy = Math.max(-y0, Math.min(1 - y1, dy));
  return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
}
