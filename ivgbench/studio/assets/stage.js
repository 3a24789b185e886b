// The frame on which boxes are drawn, moved and resized, with a pointer or the keyboard.

import { boxAt, moved, tidy } from "./draft.js";
import { find, make } from "./parts.js";

const TINY = 0.015; // of the frame: a click that slipped is no box
const STEP = 0.01;
const CORNERS = [[0, 0], ["", 0], [1, 0], [0, ""], [1, ""], [0, 1], ["", 1], [1, 1]];

export function stage(draft) {
  const area = find("stage");
  let drag = null;

  const at = (event) => {
    const frame = area.getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  };

  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const [x, y] = at(event);
    const box = event.shiftKey ? null : event.target.closest(".box");
    if (box) draft.choose(Number(box.dataset.subject));
    const subject = draft.subject;
    const from = box && boxAt(subject, draft.frame);
    const handle = box && event.target.closest(".handle");
    drag = { kind: handle ? "resize" : box ? "move" : "draw", handle: handle?.dataset, subject, from, x, y, box: null };
    area.setPointerCapture(event.pointerId);
    event.preventDefault();
    (area.querySelector(`.box[data-subject="${draft.chosen}"]`) ?? area).focus({ preventScroll: true });
  });

  area.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = at(event);
    const [dx, dy] = [x - drag.x, y - drag.y];
    if (!drag.box && Math.max(Math.abs(dx), Math.abs(dy)) < (drag.kind === "draw" ? TINY : 0.003)) return;
    if (drag.kind === "draw") drag.box = [drag.x, drag.y, x, y];
    else if (drag.kind === "move") drag.box = moved(drag.from, dx, dy);
    else drag.box = resized(drag.from, drag.handle, dx, dy);
    draft.put(drag.subject, draft.frame, drag.box);
  });

  for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, () => (drag = null));

  area.addEventListener("keydown", (event) => {
    const subject = draft.subject;
    const box = boxAt(subject, draft.frame);
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way && box) {
      const [dx, dy] = way.map((one) => one * STEP);
      draft.put(subject, draft.frame, event.shiftKey ? tidy([box[0], box[1], Math.min(1, box[2] + dx), Math.min(1, box[3] + dy)]) : moved(box, dx, dy));
    } else if (["Delete", "Backspace"].includes(event.key)) {
      draft.drop(subject, draft.frame);
    } else if (event.key === "Enter" && !box) {
      draft.put(subject, draft.frame, [0.35, 0.3, 0.65, 0.7]);
    } else return;
    event.preventDefault();
    area.querySelector(`.box[data-subject="${draft.chosen}"]`)?.focus();
  });

  area.addEventListener("focusin", (event) => {
    const box = event.target.closest(".box");
    if (box) draft.choose(Number(box.dataset.subject));
  });

  draft.addEventListener("change", () => show(area, draft));
}

function resized([x0, y0, x1, y1], { x, y }, dx, dy) {
  if (x === "0") x0 += dx;
  if (x === "1") x1 += dx;
  if (y === "0") y0 += dy;
  if (y === "1") y1 += dy;
  return [x0, y0, x1, y1];
}

/** Boxes are kept as elements while they last: a drag or the focus is not lost. */
function show(area, draft) {
  const seen = new Set();
  draft.subjects.forEach((subject, index) => {
    const box = boxAt(subject, draft.frame);
    if (!box) return;
    seen.add(String(index));
    let shown = area.querySelector(`.box[data-subject="${index}"]`);
    if (!shown) {
      shown = make("div", { class: "box", tabIndex: 0, role: "button", "data-subject": index }, make("span", { class: "label", dir: "auto" }));
      for (const [x, y] of CORNERS) shown.append(make("div", { class: "handle", "data-x": x, "data-y": y }));
      area.append(shown);
    }
    shown.classList.toggle("key", subject.keys.has(draft.frame));
    shown.classList.toggle("chosen", index === draft.chosen);
    for (const one of shown.querySelectorAll(".handle")) one.hidden = index !== draft.chosen;
    shown.querySelector(".label").textContent = subject.phrase || "subject";
    const percent = box.map((value) => `${Math.round(100 * value)}`);
    shown.setAttribute("aria-label", `${subject.phrase || "subject"}, frame ${draft.frame}: ${percent[0]} to ${percent[2]} % across, ${percent[1]} to ${percent[3]} % down`);
    shown.style.setProperty("--colour", subject.colour);
    const [left, top, right, bottom] = box.map((value) => 100 * value);
    Object.assign(shown.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    shown.style.zIndex = index === draft.chosen ? 2 : 1;
  });
  for (const one of area.querySelectorAll(".box")) if (!seen.has(one.dataset.subject)) one.remove();
  area.querySelector(".empty")?.remove();
  if (!seen.size) {
    const name = draft.subject?.phrase;
    area.append(make("div", { class: "empty" }, make("p", {}, "Drag here to draw the box of ", name ? make("bdi", {}, `“${name}”`) : "the subject")));
  }
}
