// Requests and their clips: progress while they are made, then all methods side by side, in step.

import { find, get, make, post, Refusal } from "./parts.js";

const PER_SECOND = 8, POLL = 350;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Tickets {
  constructor(told) {
    this.told = told;
    this.shown = new Map();
    let last = 0;
    const tick = (now) => {
      if (now - last > 1000 / PER_SECOND) {
        last = now;
        for (const one of this.shown.values()) one.tick();
      }
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  async restore() {
    for (const ticket of (await get("/api/tickets")).reverse()) this.add(ticket);
  }

  add(ticket) {
    for (const one of this.shown.values()) one.play(false);
    const made = new Shown(ticket);
    this.shown.set(ticket.id, made);
    find("tickets").prepend(made.place);
    this.follow(made);
  }

  /** Asks until nothing more will happen. */
  async follow(one) {
    while (["queued", "running"].includes(one.ticket.state)) {
      await new Promise((done) => setTimeout(done, POLL));
      try {
        one.update(await get(`/api/tickets/${one.ticket.id}`));
      } catch (refusal) {
        one.tellState(refusal.message);
        if (!(refusal instanceof Refusal) || refusal.message.startsWith("there is no")) return;
      }
    }
    this.told(one.ticket);
  }
}

class Shown {
  constructor(ticket) {
    this.frame = 0;
    this.drawn = null;
    this.asked = true;
    this.detected = true;
    this.state = make("span", { class: "quiet state", role: "status" });
    this.cancel = make("button", { type: "button", class: "cancel", onclick: () => this.stop() }, "Cancel");
    this.button = make("button", { type: "button", class: "playing", onclick: () => this.play(!this.playing) }, "Pause");
    this.slider = make("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Frame of all clips",
      oninput: () => { this.play(false); this.frame = Number(this.slider.value); this.draw(); } });
    this.where = make("output", {});
    const toggle = (name) => make("label", {}, make("input", { type: "checkbox", checked: true, class: name,
      onchange: (event) => { this[name] = event.target.checked; this.drawn = null; this.draw(); } }), " ", make("i", { class: `swatch ${name}` }), name);
    this.controls = make("div", { class: "transport", hidden: true }, this.button, this.slider, this.where, toggle("asked"), toggle("detected"));
    this.panels = make("div", { class: `panels${ticket.takes.length < 4 ? " few" : ""}` });
    this.place = make("article", { class: "card ticket", "data-ticket": ticket.id },
      make("div", { class: "heads" }, make("h2", { dir: "auto" }, ticket.prompt), make("span", { class: "row" }, this.state, this.cancel)),
      this.controls, this.panels);
    this.several = new Set(ticket.takes.map((one) => one.seed)).size > 1;
    this.phrases = ticket.phrases;
    this.takes = ticket.takes.map((take, number) => new Panel(this, take, number, ticket.id));
    this.panels.append(...this.takes.map((one) => one.place));
    this.play(!STILL.matches);
    this.update(ticket);
    new ResizeObserver(() => { this.drawn = null; this.draw(); }).observe(this.panels);
  }

  update(ticket) {
    this.ticket = ticket;
    ticket.takes.forEach((take, at) => this.takes[at].update(take));
    const done = ticket.takes.filter((one) => one.state === "done").length;
    const open = ["queued", "running"].includes(ticket.state);
    this.cancel.hidden = !open;
    this.controls.hidden = !done;
    const count = `${done} of ${ticket.takes.length} clips`;
    if (ticket.state === "queued") this.tellState(ticket.ahead ? `waiting: ${ticket.ahead} before this one` : ticket.loading ? "loading the models" : "about to begin");
    else this.tellState(ticket.state === "running" ? count : ticket.state === "cancelled" ? `cancelled, ${count}` : count);
    this.slider.max = Math.max(0, this.frames - 1);
    this.draw();
  }

  tellState(text) {
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  get frames() {
    return Math.max(0, ...this.takes.map((one) => one.take.result?.frames ?? 0));
  }

  async stop() {
    this.cancel.disabled = true;
    try {
      this.update(await post(`/api/tickets/${this.ticket.id}/cancel`));
    } catch (refusal) {
      this.tellState(refusal.message);
    }
    this.cancel.disabled = false;
  }

  play(on) {
    this.playing = on;
    this.button.textContent = on ? "Pause" : "Play";
    this.button.setAttribute("aria-pressed", String(on));
  }

  tick() {
    if (!this.playing || !this.frames) return;
    this.frame = (this.frame + 1) % this.frames;
    this.draw();
  }

  draw() {
    const frames = this.frames;
    if (!frames) return;
    this.frame = Math.min(this.frame, frames - 1);
    if (this.drawn === this.frame) return;
    this.drawn = this.frame;
    this.slider.value = this.frame;
    this.where.textContent = `${this.frame} / ${frames - 1}`;
    for (const one of this.takes) one.draw(this.frame);
  }
}

class Panel {
  constructor(shown, take, number, ticket) {
    Object.assign(this, { shown, take, number, ticket, image: null });
    this.canvas = make("canvas", { role: "img" });
    this.state = make("div", { class: "state" });
    this.picture = make("div", { class: "picture" }, this.canvas, this.state);
    this.ious = make("div", { class: "ious", hidden: true });
    this.facts = make("div");
    this.title = make("h3", {}, take.name, make("span", { class: "quiet" }, shown.several ? `seed ${take.seed}` : ""));
    this.place = make("section", { class: "panel", "data-method": take.method }, this.title, this.picture, this.ious, this.facts);
    this.picture.style.aspectRatio = "5 / 3";
  }

  update(take) {
    const state = JSON.stringify(take);
    if (this.last === state) return;
    Object.assign(this, { take, last: state });
    this.place.dataset.state = take.state;
    this.state.hidden = take.state === "done";
    this.state.className = `state${take.state === "failed" ? " failed" : ""}`;
    if (take.state === "making" || take.state === "scoring") {
      const words = take.state === "scoring" ? "scoring" : take.steps ? `step ${take.done} of ${take.steps}` : "beginning";
      this.state.replaceChildren(make("progress", take.steps ? { max: take.steps, value: take.done } : {}), words);
    } else this.state.textContent = { waiting: "waiting", cancelled: "cancelled", failed: `failed: ${take.failed}` }[take.state] ?? "";
    if (take.result && !this.image) this.finish(take);
  }

  /** The clip is there: its picture, its numbers. */
  finish({ result }) {
    const base = `/api/tickets/${this.ticket}/clips/${this.number}`;
    this.picture.style.aspectRatio = `${result.width} / ${result.height}`;
    this.canvas.setAttribute("aria-label", `${result.name}: the clip`);
    this.image = new Image();
    this.image.onload = () => { this.ready = true; this.draw(this.shown.frame); };
    this.image.src = `${base}/frames`;
    this.facts.replaceChildren(make("dl", { class: "scores" }, ...result.scores.map((one) =>
      make("div", { title: one.what, "data-score": one.name }, make("dt", {}, one.name), make("dd", {}, one.value)))));
    if (result.unscored) this.facts.append(make("p", { class: "quiet unscored" }, `Not measured: ${result.unscored}`));
    this.facts.append(make("p", { class: "quiet" }, result.settings === "–" ? "" : `Settings: ${result.settings} · `,
      make("a", { href: `${base}/clip.mp4`, download: "" }, "mp4"), " · ", make("a", { href: `${base}/clip.mkv`, download: "", title: "without loss, as it was made (.mkv)" }, "exact")));
    if (result.iou) {
      this.ious.hidden = false;
      this.mean = result.iou[0].map((_, frame) => result.iou.reduce((sum, one) => sum + one[frame], 0) / result.iou.length);
      this.ious.append(...this.mean.map((value, frame) => make("i", { title: `frame ${frame}: IoU ${value.toFixed(2)}` })));
      this.mean.forEach((value, frame) => (this.ious.children[frame].style.height = `${Math.max(3, 100 * value)}%`));
    }
  }

  draw(frame) {
    const result = this.take.result;
    if (!result || !this.ready) return;
    const { width, height } = this.picture.getBoundingClientRect();
    if (!width) return;
    const scale = devicePixelRatio, canvas = this.canvas, pen = canvas.getContext("2d");
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    frame = Math.min(frame, result.frames - 1);
    const across = Math.ceil(Math.sqrt(result.frames)), down = Math.ceil(result.frames / across);
    const [w, h] = [this.image.naturalWidth / across, this.image.naturalHeight / down];
    pen.imageSmoothingEnabled = result.width > 160;
    pen.drawImage(this.image, (frame % across) * w, Math.floor(frame / across) * h, w, h, 0, 0, wide, high);
    const look = getComputedStyle(this.place);
    if (this.shown.asked) this.boxes(pen, result.asked, frame, look.getPropertyValue("--asked-line"), [], scale);
    if (this.shown.detected && result.detected) this.boxes(pen, result.detected, frame, look.getPropertyValue("--detected-line"), [5 * scale, 4 * scale], scale);
    [...this.ious.children].forEach((one, at) => one.classList.toggle("now", at === frame));
    this.canvas.dataset.frame = frame;
  }

  boxes(pen, tracks, frame, colour, dashes, scale) {
    tracks.forEach((track, subject) => {
      const [x0, y0, x1, y1] = track[frame];
      if (x0 === null) return;
      const { width, height } = this.canvas;
      pen.setLineDash(dashes);
      for (const [line, style] of [[4, "#0008"], [2, colour]]) { // a dark edge: seen on any ground
        Object.assign(pen, { lineWidth: line * scale, strokeStyle: style });
        pen.strokeRect(x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height);
      }
      if (tracks.length > 1 && !dashes.length) {
        Object.assign(pen, { font: `${11 * scale}px sans-serif`, fillStyle: colour, strokeStyle: "#000a", lineWidth: 3 * scale });
        pen.setLineDash([]);
        for (const how of ["strokeText", "fillText"]) pen[how](this.shown.phrases[subject], x0 * width + 3 * scale, Math.max(11 * scale, y0 * height - 3 * scale));
      }
    });
  }
}
