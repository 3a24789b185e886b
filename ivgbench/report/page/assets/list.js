// The list of cases. Only the rows that can be seen are in the page, however many cases there are.
const ROW = 64; // height of a row in pixels, as in the style
let listed = []; // numbers of the cases that are listed

function setUpList() {
  const list = byId("list");
  list.addEventListener("scroll", () => requestAnimationFrame(drawList));
  new ResizeObserver(drawList).observe(list);
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) change({ case: Number(row.dataset.case) });
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); goBy(step); }
  });
}

function showList() {
  listed = chosenCases();
  const all = run.cases.length;
  byId("count").textContent = listed.length === all ? `${all} case${all === 1 ? "" : "s"}` : `${listed.length} of ${all} cases`;
  byId("rows").style.height = `${listed.length * ROW}px`;
  bringIntoView();
  drawList();
}

function bringIntoView() {
  const list = byId("list");
  const place = listed.indexOf(state.case) * ROW;
  if (place < 0) return;
  if (place < list.scrollTop) list.scrollTop = place;
  if (place + ROW > list.scrollTop + list.clientHeight) list.scrollTop = place + ROW - list.clientHeight;
}

function drawList() {
  const list = byId("list");
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 2);
  const last = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 2);
  byId("rows").replaceChildren(...listed.slice(first, last).map((number, place) => listRow(number, first + place)));
  list.setAttribute("aria-activedescendant", `option-${state.case}`);
}

function listRow(number, place) {
  const one = run.cases[number];
  const key = { best: standing, worst: standing, differ: difference }[state.order]?.(one);
  const told = key === undefined ? "" : key === null ? "–" : `${state.order === "differ" ? "Δ " : ""}${(100 * key).toFixed(1)} %`;
  const failed = shownRows().filter((row) => one.clips[row]?.[1]).length;
  const row = make("div", { role: "option", id: `option-${number}`, "data-case": number, "aria-selected": number === state.case,
    "aria-setsize": listed.length, "aria-posinset": place + 1 },
    make("span", { class: "top" }, make("b", {}, one.case), make("span", { class: "quiet" }, whichOf(one)), make("span", { class: "key" }, told)),
    make("span", { class: "prompt", dir: "auto" }, one.prompt || "no prompt is known"),
    make("span", { class: "under" }, bars(one), failed ? make("span", { class: "bad" }, `${failed} failed`) : ""));
  row.style.top = `${place * ROW}px`;
  return row;
}

// What tells a case from others of its id: its split where there are several, its seed where there are several.
const splits = new Set(run.cases.map((one) => one.split)).size, seeds = new Set(run.cases.map((one) => one.seed)).size;
function whichOf(one) { return [splits > 1 && one.split, seeds > 1 && `seed ${one.seed}`].filter(Boolean).join(", "); }

// The mIoU of every row that is shown, as a bar each.
function bars(one) {
  const rows = shownRows();
  const drawn = make("canvas", { width: 2 * Math.max(rows.length, 1) * 6, height: 32, class: "bars", "aria-hidden": true });
  drawn.style.width = `${Math.max(rows.length, 1) * 6}px`;
  const pen = drawn.getContext("2d");
  rows.forEach((row, place) => {
    const value = miouOf(one, row);
    pen.fillStyle = colour(run.rows[row].reference ? "--quiet" : "--accent");
    pen.fillRect(place * 12, 30 - 30 * (value ?? 0), 10, 30 * (value ?? 0) + 2);
  });
  return drawn;
}

// The case that is a step further in the list; from one that is not listed, the first.
function goBy(step) {
  const place = listed.indexOf(state.case);
  const next = place < 0 ? listed[0] : listed[place + step];
  if (next !== undefined) change({ case: next });
}

// After a filter or an order was chosen: what it puts first.
function goToFirst() { if (listed.length) { byId("list").scrollTop = 0; change({ case: listed[0] }); } }
