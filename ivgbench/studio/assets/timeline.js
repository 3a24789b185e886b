// A row for each subject: its words, its colour, and its keyframes in time. And the frame that is shown.

import { boxAt } from "./draft.js";
import { find, make } from "./parts.js";

const PER_SECOND = 8;

export function timeline(draft) {
  const place = find("timeline"), slider = find("frame"), play = find("play");
  let timer = null;

  slider.addEventListener("input", () => draft.go(Number(slider.value)));
  play.addEventListener("click", () => {
    if (timer) clearInterval(timer);
    timer = timer ? null : setInterval(() => draft.go((draft.frame + 1) % draft.frames), 1000 / PER_SECOND);
    play.textContent = timer ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(Boolean(timer)));
  });

  draft.addEventListener("change", () => {
    slider.max = draft.frames - 1;
    slider.value = draft.frame;
    find("where").textContent = `frame ${draft.frame} of 0–${draft.frames - 1}`;
    while (place.children.length > draft.subjects.length) place.lastChild.remove();
    draft.subjects.forEach((subject, index) => {
      if (!place.children[index]) place.append(row(draft, index));
      update(draft, place.children[index], subject, index);
    });
  });
}

/** The controls of the subject that has this index, whichever it is. */
function row(draft, index) {
  const own = () => draft.subjects[index];
  const track = make("div", { class: "track" });
  const made = make("div", { class: "subject", "data-field": `subjects.${index}`, onfocusin: () => draft.choose(index) },
    make("input", { type: "radio", name: "chosen", "aria-label": "Draw this subject", onchange: () => draft.choose(index) }),
    make("input", { type: "color", "aria-label": "Colour", oninput: (event) => { own().colour = event.target.value; draft.changed(); } }),
    make("span", { class: "field", "data-field": `subjects.${index}.phrase` },
      make("input", { type: "text", dir: "auto", maxLength: 1000, placeholder: "words of the prompt", "aria-label": "Subject: words of the prompt",
        spellcheck: false, oninput: (event) => { own().phrase = event.target.value; draft.changed(); } }),
      make("span", { class: "error", role: "alert" })),
    track,
    make("button", { type: "button", class: "small key", onclick: () => toggle(draft, own()) }, "◆ Key"),
    make("button", { type: "button", class: "small", "aria-label": "Remove this subject", title: "Remove this subject",
      onclick: () => draft.removeSubject(index) }, "✕"),
    make("span", { class: "field", "data-field": `subjects.${index}.boxes` }, make("span", { class: "error", role: "alert" })),
  );
  made.lastChild.style.gridColumn = "1 / -1";
  scrubs(draft, track, index);
  return made;
}

/** A keyframe at this frame where there is none, or none where there is one. */
function toggle(draft, subject) {
  if (subject.keys.has(draft.frame)) draft.drop(subject, draft.frame);
  else draft.put(subject, draft.frame, boxAt(subject, draft.frame) ?? [0.35, 0.3, 0.65, 0.7]);
}

/** Pointer on a track: to go to a frame, or to move the keyframe that was taken hold of. */
function scrubs(draft, track, index) {
  let held = null;
  const at = (event) => {
    const frame = track.getBoundingClientRect();
    return Math.round(((event.clientX - frame.left) / frame.width) * (draft.frames - 1));
  };
  track.addEventListener("pointerdown", (event) => {
    const key = event.target.closest(".keyframe");
    held = { key: key ? Number(key.dataset.frame) : null };
    draft.choose(index);
    draft.go(key ? held.key : at(event));
    track.setPointerCapture(event.pointerId);
    event.preventDefault();
    if (key) track.querySelector(`.keyframe[data-frame="${held.key}"]`)?.focus();
  });
  track.addEventListener("pointermove", (event) => {
    if (!held) return;
    const frame = Math.max(0, Math.min(draft.frames - 1, at(event)));
    if (held.key === null) draft.go(frame);
    else if (frame !== held.key && draft.shift(draft.subjects[index], held.key, frame)) held.key = frame;
  });
  for (const name of ["pointerup", "pointercancel"]) track.addEventListener(name, () => (held = null));
  track.addEventListener("keydown", (event) => {
    const key = event.target.closest(".keyframe");
    if (!key) return;
    const frame = Number(key.dataset.frame), subject = draft.subjects[index];
    const to = frame + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0);
    if (to !== frame) {
      if (draft.shift(subject, frame, to)) track.querySelector(`.keyframe[data-frame="${to}"]`)?.focus();
    } else if (["Delete", "Backspace"].includes(event.key)) draft.drop(subject, frame);
    else if (["Enter", " "].includes(event.key)) draft.go(frame);
    else return;
    event.preventDefault();
  });
}

function update(draft, row, subject, index) {
  const place = (frame) => `${draft.frames > 1 ? (100 * frame) / (draft.frames - 1) : 0}%`;
  const [radio, colour] = row.querySelectorAll("input");
  const phrase = row.querySelector("input[type=text]");
  row.classList.toggle("chosen", index === draft.chosen);
  row.style.setProperty("--colour", subject.colour);
  radio.checked = index === draft.chosen;
  colour.value = subject.colour;
  if (phrase.value !== subject.phrase) phrase.value = subject.phrase;
  const here = subject.keys.has(draft.frame), button = row.querySelector("button.key");
  button.textContent = here ? "◇ Unkey" : "◆ Key";
  button.title = here ? "Remove the keyframe at this frame" : "Set a keyframe at this frame";

  const track = row.querySelector(".track"), frames = [...subject.keys.keys()].sort((a, b) => a - b);
  const state = `${draft.frames} ${frames} ${draft.frame} ${subject.phrase}`;
  if (track.dataset.state === state) return; // nothing of it has changed: a focus is kept
  track.dataset.state = state;
  const focused = track.contains(document.activeElement) ? document.activeElement.dataset.frame : null;
  track.replaceChildren();
  for (let frame = 0; draft.frames <= 33 && frame < draft.frames; frame += 1) {
    track.append(make("i", { class: "tick" }));
    track.lastChild.style.left = place(frame);
  }
  if (frames.length > 1) {
    track.append(make("i", { class: "line" }));
    track.lastChild.style.left = place(frames[0]);
    track.lastChild.style.right = `calc(100% - ${place(frames.at(-1))})`;
  }
  track.append(make("i", { class: "head" }));
  track.lastChild.style.left = place(draft.frame);
  for (const frame of frames) {
    track.append(make("button", { type: "button", class: `keyframe${frame === draft.frame ? " here" : ""}`, "data-frame": frame,
      "aria-label": `${subject.phrase || "subject"}: keyframe at frame ${frame}`, title: `keyframe at frame ${frame}` }, "◆"));
    track.lastChild.style.left = place(frame);
  }
  if (focused !== null) track.querySelector(`.keyframe[data-frame="${focused}"]`)?.focus();
}
