// Undo and redo of what is drawn: each press of a button or a key is a step, and so is a whole drag, or a text typed.

import { find } from "./parts.js";

const MOST = 200;

/** Begins to remember; returns a function that forgets all, for when the draft is of another length. */
export function history(draft) {
  const past = [], future = [];
  let now = draft.told(), begins = false;

  const writes = (place) => place.closest?.("textarea, input[type=text]"); // it has an undo of its own
  for (const name of ["pointerdown", "keydown"]) {
    document.addEventListener(name, (event) => { if (name === "pointerdown" || !writes(event.target)) begins = true; }, true);
  }

  draft.addEventListener("change", () => {
    const then = draft.told();
    if (then !== now) {
      if (begins || !past.length) past.push(now);
      past.splice(0, past.length - MOST);
      future.length = 0;
      begins = false;
      now = then;
    }
    show();
  });

  function show() {
    find("undo").disabled = !past.length;
    find("redo").disabled = !future.length;
  }

  function go(from, to) {
    if (!from.length) return;
    to.push(now);
    now = from.pop();
    draft.take(now);
    draft.changed();
  }

  find("undo").addEventListener("click", () => go(past, future));
  find("redo").addEventListener("click", () => go(future, past));
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || writes(event.target) || !["z", "y"].includes(key)) return;
    event.preventDefault();
    if (key === "y" || event.shiftKey) go(future, past);
    else go(past, future);
  });

  return () => {
    past.length = future.length = 0;
    now = draft.told();
    show();
  };
}
