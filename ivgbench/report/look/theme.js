// Light or dark: as the system says, until the reader says otherwise with #theme. Files on disk may have no storage: then
// for a visit. The document is told of every change, for pages that draw.
"use strict";
(() => {
  const kept = "ivgbench-theme";
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  function show() {
    button.textContent = now() === "dark" ? "Light" : "Dark";
    document.dispatchEvent(new Event("theme"));
  }

  try {
    const chosen = localStorage.getItem(kept);
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch { /* no storage here */ }
  dark.addEventListener("change", show);
  button.addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    try { localStorage.setItem(kept, root.dataset.theme); } catch { /* no storage here */ }
    show();
  });
  show();
})();
