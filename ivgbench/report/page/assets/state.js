// What the reader chose. All of it is in the address, after the #, so that a link shows the same case the same way.
const state = {
  case: 0, // number of the case in run.cases
  group: "", // "SUITE/SPLIT", "" for all
  subject: "", // a phrase, "" for all
  text: "",
  order: "suite", // suite, failed, best, worst, differ
  by: "", // best and worst: the label of a row, "" for the mean over the methods that are shown
  a: "", b: "", // differ: the labels of two rows
  hidden: new Set(), // numbers of the rows that are not shown
  asked: true, detected: true, // the overlays
};
const DEFAULTS = { ...state };

function nameOf(one) { return [one.suite, one.split, one.case, one.seed].join("/"); }

function shownRows() { return run.rows.map((_, number) => number).filter((number) => !state.hidden.has(number)); }

function writeHash() {
  const said = new URLSearchParams();
  if (run.cases.length) said.set("case", nameOf(run.cases[state.case]));
  for (const key of ["group", "subject", "text", "order", "by", "a", "b"]) {
    if (state[key] !== DEFAULTS[key]) said.set(key, state[key]);
  }
  if (state.hidden.size) for (const number of shownRows()) said.append("method", run.rows[number].label);
  if (state.hidden.size === run.rows.length) said.set("method", "");
  if (!state.asked || !state.detected) said.set("boxes", [state.asked && "asked", state.detected && "detected"].filter(Boolean).join(" "));
  history.replaceState(null, "", `#${said}`);
}

// Takes what an address says; what it does not say is at its default, and what is not in this run is left out.
function readHash() {
  const said = new URLSearchParams(location.hash.slice(1));
  const labels = run.rows.map((row) => row.label);
  const known = { by: labels, a: labels, b: labels, order: ["suite", "failed", "best", "worst", "differ"],
    group: run.cases.map(groupOf), subject: run.cases.flatMap((one) => one.subjects) };
  for (const key of ["group", "subject", "text", "order", "by", "a", "b"]) {
    const value = said.get(key);
    state[key] = value === null || (known[key] && !known[key].includes(value)) ? DEFAULTS[key] : value;
  }
  const methods = said.getAll("method");
  state.hidden = new Set(methods.length ? labels.map((_, n) => n).filter((n) => !methods.includes(labels[n])) : []);
  const boxes = (said.get("boxes") ?? "asked detected").split(" ");
  state.asked = boxes.includes("asked");
  state.detected = boxes.includes("detected");
  const number = run.cases.findIndex((one) => nameOf(one) === said.get("case"));
  state.case = Math.max(number, 0);
  return number >= 0;
}
