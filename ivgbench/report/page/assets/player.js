// One clock for all clips: they are drawn together, whenever the frame changes.
const clock = { playing: false, frame: 0, since: 0, speed: 1, seen: true };

function setUpPlayer() {
  byId("play").addEventListener("click", () => play(!clock.playing));
  byId("back").addEventListener("click", () => step(-1));
  byId("on").addEventListener("click", () => step(1));
  byId("scrub").addEventListener("input", () => { play(false); toFrame(Number(byId("scrub").value)); });
  byId("speed").addEventListener("change", () => { clock.speed = Number(byId("speed").value); clock.since = performance.now(); });
  for (const name of ["asked", "detected"]) byId(name).addEventListener("click", () => change({ [name]: !state[name] }));
  // Out of sight, nothing is drawn.
  new IntersectionObserver(([seen]) => { clock.seen = seen.isIntersecting; if (clock.seen && clock.playing) start(); }).observe(byId("stage"));
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play(true);
}

function play(on) {
  clock.playing = on;
  byId("play").textContent = on ? "Pause" : "Play";
  if (on) start();
}

function start() {
  clock.since = performance.now();
  cancelAnimationFrame(clock.next);
  clock.next = requestAnimationFrame(tick);
}

function tick(now) {
  if (!clock.playing || !clock.seen) return;
  const each = 1000 / (run.fps * clock.speed);
  const passed = Math.floor((now - clock.since) / each);
  if (passed > 0 && stage) {
    clock.since += passed * each;
    toFrame((clock.frame + passed) % stage.frames);
  }
  clock.next = requestAnimationFrame(tick);
}

function step(by) {
  play(false);
  if (stage) toFrame((clock.frame + by + stage.frames) % stage.frames);
}

function toFrame(frame) {
  if (!stage) return;
  clock.frame = Math.min(Math.max(frame, 0), stage.frames - 1);
  byId("scrub").max = stage.frames - 1;
  byId("scrub").value = clock.frame;
  byId("at").textContent = `${clock.frame + 1} / ${stage.frames}`;
  drawPanels();
}

function showPlayer() {
  for (const name of ["asked", "detected"]) byId(name).setAttribute("aria-pressed", state[name]);
}
