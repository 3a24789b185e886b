// The stage: a case with a panel for each row. Pictures are read when their panel comes near the window.
const AHEAD = 12;
let stage = null; // { number, detail, panels, frames, nothing }

async function showCase() {
  const number = state.case, one = run.cases[number];
  byId("panels").dataset.case = nameOf(one);
  stage = null;
  showAbout(one, null);
  let detail;
  try {
    detail = await detailOf(number);
  } catch (fault) {
    if (number === state.case) byId("panels").replaceChildren(make("p", { class: "warning" }, fault.message));
    return;
  }
  if (number !== state.case) return; // another case was chosen meanwhile
  const lengths = detail.clips.filter((clip) => clip?.frames).map((clip) => clip.frames);
  stage = { number, detail, frames: Math.max(1, ...lengths), panels: [] };
  showAbout(one, detail);
  byId("panels").replaceChildren(...run.rows.map((row, at) => panelOf(row, detail.clips[at], at)).filter(Boolean));
  nearby.disconnect();
  for (const panel of stage.panels) nearby.observe(panel.canvas);
  byId("player").hidden = !stage.panels.length; // where every clip failed there is nothing to play
  showPanels();
  toFrame(0);
  lookAhead(listed[listed.indexOf(number) + 1]);
}

// The next case is likely to be asked for: it is read already, with the clips that will be seen first.
function lookAhead(number) {
  if (number === undefined || listed.indexOf(state.case) < 0) return;
  detailOf(number).then((detail) => {
    const first = shownRows().map((row) => detail.clips[row]).filter((clip) => clip?.frames).slice(0, AHEAD);
    for (const clip of first) pictureOf(number, clip.source).catch(() => {});
  }, () => {});
}

function showAbout(one, detail) {
  const legend = make("p", { class: "legend" });
  one.subjects.forEach((phrase, subject) => {
    const { asked, found } = coloursOf(subject, one.subjects.length);
    const key = (stroke, dashed) => { const line = make("span", { class: dashed ? "dashed" : "solid" }); line.style.borderColor = stroke; return line; };
    legend.append(make("span", {}, make("bdi", {}, phrase || "subject"), " ", key(asked, false), " asked ", key(found, true), " detected"));
  });
  byId("about").replaceChildren(
    make("h3", { dir: "auto" }, one.prompt || one.case),
    make("p", { class: "quiet" }, `${one.suite}, ${one.split}, case ${one.case}, seed ${one.seed}`), detail?.clips.some((clip) => clip?.frames) ? legend : "");
}

function panelOf(row, clip, number) {
  if (!clip) return null; // the run has no such clip, and none is expected
  const head = make("figcaption", {}, make("b", {}, row.name), row.settings ? make("span", { class: "quiet" }, ` ${row.settings}`) : "");
  if (row.about) head.title = row.about;
  const figure = make("figure", { "data-row": row.label }, head);
  if (!clip.frames) {
    figure.append(make("p", { class: "warning none" }, clip.fault));
    return figure;
  }
  const [width, height] = sizeOf(clip);
  const canvas = make("canvas", { width, height, class: "clip", role: "img", "aria-label": `${row.name}: ${run.cases[state.case].prompt}` });
  const chart = make("canvas", { ...CHART, class: "chart", role: "img", "aria-label": `IoU of each frame, ${row.name}` });
  const value = make("output", { class: "iou" });
  canvas.addEventListener("click", () => play(!clock.playing));
  chart.addEventListener("click", (event) => {
    play(false);
    toFrame(Math.floor((event.offsetX / chart.clientWidth) * clip.frames));
  });
  const scores = make("dl", { class: "scores" });
  for (const [name, text] of clip.scores) scores.append(make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  figure.append(canvas, clip.iou.some(Boolean) ? make("div", { class: "overlap" }, chart, value) : "", scores);
  const asked = stage.detail.asked[0]?.length ?? 0;
  if (asked && asked !== clip.frames) figure.append(make("p", { class: "quiet" }, `${clip.frames} frame${clip.frames === 1 ? "" : "s"}, and boxes for ${asked}: none are drawn`));
  if (clip.fault) figure.append(make("p", { class: "warning" }, clip.fault));
  stage.panels.push({ number, figure, canvas, chart, value, clip, picture: null, seen: false });
  return figure;
}

const nearby = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    const panel = stage?.panels.find((one) => one.canvas === target);
    if (!panel) continue;
    panel.seen = isIntersecting;
    if (!panel.seen) continue;
    drawPanel(panel);
    const of = stage;
    pictureOf(of.number, panel.clip.source).then(
      (picture) => { panel.picture = picture; if (of === stage) drawPanel(panel); },
      () => panel.canvas.replaceWith(make("p", { class: "warning none" }, "damaged: its preview cannot be read")));
  }
}, { rootMargin: "300px" });

// Panels of the rows that are chosen; the others keep what they have.
function showPanels() {
  for (const figure of byId("panels").children) {
    const number = run.rows.findIndex((row) => row.label === figure.dataset.row);
    figure.hidden = state.hidden.has(number);
  }
}

// A clip that ends before the others stays at its last frame. What is far from the window is drawn when it comes near.
function drawPanel(panel) {
  if (panel.figure.hidden || !panel.seen) return;
  const frame = Math.min(clock.frame, panel.clip.frames - 1);
  if (panel.picture) drawFrame(panel.canvas, panel.picture, panel.clip, stage.detail.asked, frame);
  if (!panel.chart.isConnected) return;
  drawChart(panel.chart, panel.clip, frame);
  const values = panel.clip.iou.filter(Boolean).map((one) => one[frame]).filter((value) => value !== null);
  panel.value.textContent = values.length ? `IoU ${mean(values).toFixed(2)}` : "";
}

function drawPanels() { if (stage) stage.panels.forEach(drawPanel); }
