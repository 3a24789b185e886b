// Which cases are listed, in which order, and the controls that say so.
function groupOf(one) { return `${one.suite}/${one.split}`; }

// The clip's mIoU of a row in a case; null where it has none.
function miouOf(one, row) { return one.clips[row]?.[0] ?? null; }

function mean(values) { return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null; }

// What best and worst go by: one row, or the mean over the methods that are shown (references are no methods).
function standing(one) {
  const row = run.rows.findIndex((other) => other.label === state.by);
  if (row >= 0) return miouOf(one, row);
  return mean(shownRows().filter((n) => !run.rows[n].reference).map((n) => miouOf(one, n)).filter((value) => value !== null));
}

function difference(one) {
  const [a, b] = [state.a, state.b].map((label) => miouOf(one, run.rows.findIndex((row) => row.label === label)));
  return a === null || b === null ? null : Math.abs(a - b);
}

function hasFailed(one) { return shownRows().some((row) => one.clips[row]?.[1]); }

// Numbers of the cases that are listed, in order; what has no number to go by comes last.
function chosenCases() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = run.cases.map((_, number) => number).filter((number) => {
    const one = run.cases[number];
    const text = [one.case, one.prompt, ...one.subjects].join(" ").toLowerCase();
    return (!state.group || groupOf(one) === state.group) && (!state.subject || one.subjects.includes(state.subject))
      && words.every((word) => text.includes(word)) && (state.order !== "failed" || hasFailed(one));
  });
  const key = { best: standing, worst: standing, differ: difference }[state.order];
  if (!key) return found;
  const way = state.order === "worst" ? 1 : -1;
  const keys = new Map(found.map((number) => [number, key(run.cases[number])]));
  return found.sort((x, y) => {
    const [a, b] = [keys.get(x), keys.get(y)];
    if (a === null || b === null) return (a === null) - (b === null) || x - y;
    return way * (a - b) || x - y;
  });
}

function setUpFilters() {
  const form = byId("filters");
  byId("choose").open = matchMedia("(min-width: 56rem)").matches; // there is no room for it on a phone
  form.addEventListener("submit", (event) => event.preventDefault());
  const options = (name, values, all) => form.elements[name].append(...(all === null ? [] : [new Option(all, "")]), ...values.map((one) => new Option(...one)));
  const groups = [...new Set(run.cases.map(groupOf))];
  const subjects = [...new Set(run.cases.flatMap((one) => one.subjects))].sort();
  const rows = run.rows.map((row) => [row.name, row.label]);
  options("group", groups.map((one) => [one.replace("/", ", "), one]), "all");
  options("subject", subjects.map((one) => [one, one]), "all");
  options("by", rows, "all methods, mean");
  options("a", rows, null);
  options("b", rows, null);
  byId("subjects").append(...subjects.map((one) => make("option", { value: one })));
  const methods = run.rows.filter((row) => !row.reference).map((row) => row.label);
  DEFAULTS.a = state.a = methods[0] ?? run.rows[0]?.label ?? "";
  DEFAULTS.b = state.b = methods.at(-1) ?? DEFAULTS.a;
  const chosen = ({ target }) => { if (target.name in DEFAULTS && state[target.name] !== target.value) { change({ [target.name]: target.value }); goToFirst(); } };
  form.addEventListener("input", chosen); // a text, at each letter
  form.addEventListener("change", chosen);
  run.rows.forEach((row, number) => {
    const button = make("button", { type: "button", title: [row.name, row.settings, row.about].filter(Boolean).join(": ") }, row.name);
    button.addEventListener("click", () => {
      const hidden = new Set(state.hidden);
      if (!hidden.delete(number)) hidden.add(number);
      change({ hidden });
    });
    byId("methods").append(button);
  });
  const all = make("button", { type: "button", id: "all", class: "quiet" }, "all / none");
  all.addEventListener("click", () => change({ hidden: new Set(state.hidden.size ? [] : run.rows.keys()) }));
  if (run.rows.length > 2) byId("methods").append(all);
  byId("forget").addEventListener("click", () => change({ ...DEFAULTS, case: state.case, hidden: new Set() }));
}

function showFilters() {
  const form = byId("filters");
  for (const name of ["group", "subject", "text", "order", "by", "a", "b"]) form.elements[name].value = state[name];
  for (const label of form.querySelectorAll("[data-for]")) label.hidden = !label.dataset.for.split(" ").includes(state.order);
  run.rows.forEach((_, number) => byId("methods").children[number].setAttribute("aria-pressed", !state.hidden.has(number)));
}
