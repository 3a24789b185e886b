// All of it together: a change of the state shows what depends on it.
function change(part) {
  const before = { ...state };
  Object.assign(state, part);
  writeHash();
  showFilters();
  showPlayer();
  showList();
  if (before.case !== state.case) showCase();
  else { showPanels(); drawPanels(); }
}

// Everything that is drawn, after the colours changed.
function redraw() {
  colours.clear();
  if (!run.cases.length) return;
  drawList();
  showAbout(run.cases[state.case], stage?.detail);
  drawPanels();
}

document.addEventListener("theme", redraw);
setUpKeys();
// Links within the page move it; the address is kept for what is shown.
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", (event) => { event.preventDefault(); byId(link.hash.slice(1)).scrollIntoView(); });
}
if (run.cases.length) {
  byId("browser").hidden = false;
  setUpFilters();
  setUpList();
  const linked = readHash();
  change({});
  setUpPlayer();
  showCase();
  if (linked) byId("cases").scrollIntoView();
  addEventListener("hashchange", () => { readHash(); change({}); showCase(); });
}
