// Elements, and what is asked of the server. Whatever somebody typed becomes text, never markup.

/** An element with properties, attributes (dashed names) and children; texts become text nodes. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
}

export const find = (id) => document.getElementById(id);

/** What the server refused: a line, and the field that it concerns ("" where it is none). */
export class Refusal extends Error {
  constructor(message, field = "") {
    super(message);
    this.field = field;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, credentials: "same-origin" });
  } catch {
    throw new Refusal("the studio does not answer: was it closed?");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = JSON.parse(text);
  } catch { /* a line of text */ }
  if (answer.ok) return value;
  throw new Refusal(value?.message ?? value?.detail ?? (text.trim() || `the studio answered ${answer.status}`), value?.field ?? "");
}

export const get = (path) => ask(path, {});
export const post = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Takes all lines off the page that told mistakes. */
export function forgive() {
  for (const one of document.querySelectorAll(".error")) one.textContent = "";
  for (const one of document.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
}

/** Tells a mistake at its field, or at the nearest thing around it. */
export function tell(refusal) {
  const parts = refusal.field.split(".");
  for (; parts.length; parts.pop()) {
    const field = document.querySelector(`[data-field="${CSS.escape(parts.join("."))}"]`);
    if (!field) continue;
    field.closest("details")?.setAttribute("open", "");
    const line = field.querySelector(":scope > .error") ?? document.querySelector(`[data-error="${CSS.escape(parts.join("."))}"]`);
    const control = field.querySelector("input:not([type=radio]):not([type=color]), select, textarea");
    if (!line) continue;
    line.textContent = refusal.message;
    control?.setAttribute("aria-invalid", "true");
    field.scrollIntoView({ block: "nearest" });
    if (control && !control.disabled) control.focus({ preventScroll: true });
    return;
  }
  document.querySelector('[data-error=""]').textContent = refusal.message;
}
