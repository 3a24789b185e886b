// The page as a whole: what there is to choose, and what its buttons do.

import { Tickets } from "./clips.js";
import { Draft } from "./draft.js";
import { history as undoable } from "./history.js";
import { Methods } from "./methods.js";
import { find, forgive, get, make, post, tell } from "./parts.js";
import { stage } from "./stage.js";
import { timeline } from "./timeline.js";

const THEMES = { "": "dark", dark: "light", light: "" };

function theme() {
  const root = document.documentElement;
  const set = (value) => {
    if (value) root.dataset.theme = value;
    else delete root.dataset.theme;
    find("theme").textContent = { "": "◐ auto", dark: "● dark", light: "○ light" }[value];
    try { localStorage.setItem("ivgbench-theme", value); } catch { /* not kept */ }
  };
  let kept = "";
  try { kept = localStorage.getItem("ivgbench-theme") ?? ""; } catch { /* not kept */ }
  set(kept in THEMES ? kept : "");
  find("theme").addEventListener("click", () => set(THEMES[root.dataset.theme ?? ""]));
}

async function begin() {
  if (location.search) history.replaceState(null, "", "/"); // the token is a cookie by now
  theme();
  const draft = new Draft(), about = await get("/api/about");
  const backbone = () => about.backbones.find((one) => one.source === find("backbone").value);
  stage(draft);
  timeline(draft);
  draft.addEventListener("change", () => { if (find("prompt").value !== draft.prompt) find("prompt").value = draft.prompt; });
  const forget = undoable(draft);
  const methods = new Methods(about, () => count());
  const tickets = new Tickets(() => {});

  find("backbone").append(...about.backbones.map((one) => make("option", { value: one.source }, one.source)));
  find("scheduler").append(make("option", { value: "" }), ...about.schedulers.map((one) => make("option", { value: one }, one)));
  const suites = (names) => find("suites").replaceChildren(...names.map((one) => make("option", { value: one })));
  suites(about.suites);

  function count() {
    const picked = methods.asked().length, clips = picked * seedsOf(find("seeds").value).size;
    find("count").textContent = picked ? `${clips} clip${clips === 1 ? "" : "s"}` : "pick a method";
  }

  function chosen() {
    const one = backbone();
    draft.backbone = one.source;
    draft.resize(one.frames);
    find("stage").style.aspectRatio = `${one.width} / ${one.height}`;
    find("words").textContent = one.words;
    find("steps").placeholder = one.steps;
    find("guidance_scale").placeholder = one.guidance;
    find("scheduler").options[0].textContent = `${one.scheduler} (default)`;
    methods.show(one);
    draft.changed();
    forget();
  }

  function anew() {
    const { prompt, phrase } = backbone().example;
    draft.example(prompt, phrase);
    draft.changed();
  }

  /** All that is asked, as the server reads it. */
  const asked = () => ({
    ...draft.asked(), backbone: find("backbone").value, methods: methods.asked(), seeds: find("seeds").value,
    steps: find("steps").value.trim(), guidance_scale: find("guidance_scale").value.trim(), scheduler: find("scheduler").value,
  });

  /** A button whose work may be refused: the reason is told at its field. */
  function button(id, work) {
    find(id).addEventListener("click", async () => {
      forgive();
      find(id).disabled = true;
      try { await work(); } catch (refusal) { tell(refusal); }
      find(id).disabled = false;
    });
  }

  button("generate", async () => {
    tickets.add(await post("/api/tickets", asked()));
    find("tickets").firstChild.scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
  button("save", async () => {
    find("saved").textContent = "";
    const told = await post("/api/suites", { ...asked(), suite: find("suite").value.trim(), case: find("case").value.trim() });
    find("saved").replaceChildren(`${told.path}: ${told.cases} case${told.cases === 1 ? "" : "s"}. Run it:`, line(told.line));
    suites([...new Set([...[...find("suites").children].map((one) => one.value), told.suite])]);
    find("case").value = next(find("case").value);
  });
  // Lines are shown for as long as they ask for what the page does.
  let lined = "";
  button("command", async () => {
    find("commands").replaceChildren();
    const body = asked();
    find("commands").replaceChildren(...(await post("/api/commands", body)).lines.map(line));
    lined = JSON.stringify(body);
  });
  const stale = () => {
    if (find("commands").firstChild && JSON.stringify(asked()) !== lined) find("commands").replaceChildren();
  };
  find("add-subject").addEventListener("click", () => {
    draft.addSubject();
    draft.changed();
    find("timeline").lastChild.querySelector("input[type=text]").focus();
  });
  find("clear").addEventListener("click", anew);
  find("backbone").addEventListener("change", chosen);
  find("seeds").addEventListener("input", count);
  find("prompt").addEventListener("input", () => { draft.prompt = find("prompt").value; draft.changed(); });

  const kept = draft.restore();
  const sampling = ["seeds", "steps", "guidance_scale", "scheduler"];
  restoreFields(sampling, methods);
  if (kept && about.backbones.some((one) => one.source === draft.backbone)) find("backbone").value = draft.backbone;
  if (!kept) anew();
  find("case").value = "case-1";
  chosen();
  draft.addEventListener("change", stale);
  for (const name of ["input", "change", "click"]) {
    document.querySelector(".work").addEventListener(name, () => { stale(); keepFields(sampling, methods); });
  }
  await tickets.restore();
  document.body.dataset.ready = "true";
}

const KEPT = "ivgbench-fields";

/** What is chosen beside the draft stays, too, where the page is loaded again: the methods, their options, how to sample. */
function keepFields(names, methods) {
  const values = Object.fromEntries(names.map((one) => [one, find(one).value]));
  const changes = Object.fromEntries(methods.all().map((one) => [one.name, one.options]));
  try { sessionStorage.setItem(KEPT, JSON.stringify({ values, picked: [...methods.picked], changes })); } catch { /* not kept */ }
}

function restoreFields(names, methods) {
  try {
    const { values, picked, changes } = JSON.parse(sessionStorage.getItem(KEPT));
    for (const one of names) find(one).value = values[one] ?? "";
    methods.picked = new Set(picked);
    methods.changes = changes ?? {};
  } catch { /* nothing is kept, or not by this version */ }
}

/** The seeds that a text means, such as 0, 3, 5-8, as the server reads them; a few of a range without end. */
function seedsOf(text) {
  const seeds = new Set();
  for (const [, first, last] of text.matchAll(/(\d+)(?:-(\d+))?/g)) {
    for (let seed = Number(first); seed <= Number(last ?? first) && seeds.size < 1000; seed += 1) seeds.add(seed);
  }
  return seeds;
}

/** A command line that can be copied. */
function line(text) {
  const copy = make("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch { // not allowed where the page has no https: it is marked instead
      getSelection().selectAllChildren(code);
    }
  } }, "Copy");
  const code = make("code", {}, text);
  return make("pre", {}, code, copy);
}

/** The name after a case's: fox-1, fox-2. */
function next(name) {
  const [, words, number] = name.match(/^(.*?)(\d*)$/);
  return number ? `${words}${Number(number) + 1}` : `${words}-2`;
}

begin().catch((refusal) => tell(refusal));
