// What is drawn on canvases: a frame of a clip with its boxes, and the IoU of its frames. A canvas has a whole number of
// pixels for each of its frame, so that lines are thin and small frames keep their hard edges.
const WIDE = 480; // pixels of a canvas across, at least
const CHART = { width: 480, height: 96 };

// The look's colours, read once: asking for them makes the browser lay out the page.
const colours = new Map();
function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}

// One subject: what was asked and what was found have a colour each. Several: each subject has its own for both. What
// was found has a dashed line in either.
function coloursOf(subject, count) {
  if (count === 1) return { asked: colour("--asked-line"), found: colour("--detected-line") };
  const own = run.colours[subject % run.colours.length];
  return { asked: own, found: own };
}

function sizeOf(clip) {
  const scale = Math.max(1, Math.ceil(WIDE / clip.width));
  return [clip.width * scale, clip.height * scale];
}

function drawFrame(canvas, picture, clip, asked, frame) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.imageSmoothingEnabled = clip.width >= 192; // of small frames the pixels are what there is to see
  const column = frame % clip.columns, row = Math.floor(frame / clip.columns);
  pen.drawImage(picture, column * clip.width, row * clip.height, clip.width, clip.height, 0, 0, width, height);
  const fits = asked.length > 0 && asked[0].length === clip.frames;
  asked.forEach((track, subject) => {
    const { asked: solid, found: dashed } = coloursOf(subject, asked.length);
    if (state.asked && fits) drawBox(pen, track[frame], width, height, solid, []);
    if (state.detected && clip.found[subject]) drawBox(pen, clip.found[subject][frame], width, height, dashed, [width / 40, width / 60]);
  });
  canvas.dataset.frame = frame;
}

function drawBox(pen, box, width, height, stroke, dash) {
  if (!box) return;
  const line = width / 110;
  const place = [box[0] * width, box[1] * height, (box[2] - box[0]) * width, (box[3] - box[1]) * height];
  pen.setLineDash(dash);
  // On a dark rim, a line is seen on any ground.
  for (const [style, wide] of [["rgba(0, 0, 0, .6)", line * 1.9], [stroke, line]]) {
    pen.strokeStyle = style;
    pen.lineWidth = wide;
    pen.strokeRect(...place);
  }
}

// A bar for each frame: the mean IoU of the subjects, and a dot for each of several. Where a subject was not found, the
// ground has the colour of a warning; a frame in which nothing was asked has no bar.
function drawChart(canvas, clip, frame) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const low = height - 6, high = height - 16, wide = width / clip.frames;
  const looked = clip.iou.filter(Boolean);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = colour("--line");
  pen.fillRect(0, low, width, 2);
  pen.fillRect(0, low - high / 2, width, 1);
  for (let at = 0; at < clip.frames; at++) {
    const values = looked.map((one) => one[at]).filter((value) => value !== null);
    if (!values.length) continue;
    const value = mean(values);
    pen.fillStyle = colour(at === frame ? "--accent" : "--bar");
    pen.fillRect(at * wide + wide * 0.1, low - high * value, wide * 0.8, high * value);
    pen.fillStyle = clip.found.some((track) => track && !track[at]) ? colour("--warn") : colour("--line");
    pen.fillRect(at * wide + wide * 0.1, low, wide * 0.8, 4);
    if (looked.length > 1) clip.iou.forEach((one, subject) => {
      if (!one || one[at] === null) return;
      pen.fillStyle = coloursOf(subject, clip.iou.length).asked;
      pen.beginPath();
      pen.arc(at * wide + wide / 2, low - high * one[at], 5, 0, 7);
      pen.fill();
    });
  }
  const shown = Math.min(frame, clip.frames - 1);
  pen.fillStyle = colour("--ink");
  pen.fillRect(shown * wide + wide / 2 - 1.5, 0, 3, height);
  canvas.dataset.frame = frame;
}
