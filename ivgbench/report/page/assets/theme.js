// Light or dark: as the system says, until the reader says otherwise. Files on disk may have no storage: then for a visit.
const THEME = "ivgbench-theme";

function setUpTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const show = () => { byId("theme").textContent = now() === "dark" ? "Light" : "Dark"; };
  try {
    const kept = localStorage.getItem(THEME);
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* no storage here */ }
  dark.addEventListener("change", () => { show(); redraw(); });
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    try { localStorage.setItem(THEME, root.dataset.theme); } catch { /* no storage here */ }
    show();
    redraw();
  });
  show();
}

function byId(id) { return document.getElementById(id); }

// An element with its attributes and children. Texts become text nodes: nothing a user wrote is ever read as markup.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
