// The methods that are registered, with their settings and options; those that the backbone cannot do say why.

import { find, make } from "./parts.js";

const FIRST = ["plain", "mask-norm-tid"]; // what is picked on a new page

export class Methods {
  constructor(about, changed) {
    this.about = about;
    this.changed = changed;
    this.picked = new Set(FIRST);
    this.changes = {}; // what was changed of a method's options before the page was loaded again
    find("all").addEventListener("click", () => this.pick(true));
    find("none").addEventListener("click", () => this.pick(false));
  }

  pick(on) {
    for (const one of find("methods").querySelectorAll("input.pick:not(:disabled)")) {
      one.checked = on;
      this.picked[on ? "add" : "delete"](one.value);
    }
    this.changed();
  }

  show(backbone) {
    this.backbone = backbone;
    find("methods").replaceChildren(...this.about.methods.map((one) => this.method(one)));
    this.changes = {}; // of one backbone: another has other defaults
    this.changed();
  }

  method(one) {
    const refused = this.backbone.refused[one.name];
    const pick = make("input", { type: "checkbox", class: "pick", value: one.name, disabled: Boolean(refused),
      checked: !refused && this.picked.has(one.name),
      onchange: (event) => { this.picked[event.target.checked ? "add" : "delete"](one.name); this.changed(); } });
    const made = make("div", { class: `method${refused ? " refused" : ""}`, "data-field": `methods.${one.name}` },
      make("label", { class: "pick", title: one.source ?? "" }, pick, make("span", {}, one.print), make("code", { class: "quiet" }, one.name)));
    if (refused) made.append(make("p", { class: "quiet reason" }, refused));
    else if (one.options.length) made.append(this.options(one));
    made.append(make("p", { class: "error", role: "alert" }));
    return made;
  }

  /** The options, closed at first, with the backbone's default values in them. */
  options(one) {
    const settings = this.backbone.settings[one.name];
    const fields = make("div", { class: "fields" });
    const inner = make("div");
    const menu = make("select", { "aria-label": `${one.print}: settings`, onchange: () => this.fill(fields, settings[menu.selectedIndex].values) },
      ...settings.map((set, at) => make("option", {}, at ? set.name : `${set.name} (the default here)`)));
    for (const option of one.options) fields.append(this.option(one.name, "", option, settings[0].values[option.name] ?? option.default));
    if (one.around) {
      const base = fields.querySelector('[data-option="base"]');
      base.addEventListener("change", () => this.inside(one, base.value, inner));
      this.inside(one, base.value, inner);
    }
    return make("details", {}, make("summary", {}, "Options"), make("p", { class: "quiet" }, one.about),
      make("label", { class: "quiet" }, "Settings ", menu), fields, inner);
  }

  /** The options of the method that another one goes around. */
  inside(outer, name, place) {
    const base = this.about.methods.find((one) => one.name === name);
    const settings = this.backbone.settings[name];
    place.replaceChildren();
    if (!settings || !base?.options.length) return;
    const fields = make("div", { class: "fields" });
    for (const option of base.options) fields.append(this.option(outer.name, "base.", option, settings[0].values[option.name] ?? option.default));
    place.append(make("h4", {}, `Inside: ${base.print}`), fields);
  }

  option(method, prefix, option, value) {
    const id = `option-${method}-${prefix}${option.name}`;
    const range = [option.low !== null ? `from ${option.low}` : "", option.high !== null ? `to ${option.high}` : ""].join(" ").trim();
    const about = [option.about, range && `(${range})`].filter(Boolean).join(" ");
    const shared = { id, "data-option": `${prefix}${option.name}`, "data-default": value, onchange: (event) => this.mark(event.target) };
    let control;
    if (option.kind === "choice" || option.kind === "flag") {
      const choices = option.kind === "flag" ? ["true", "false"] : [...option.choices];
      if (option.optional && !choices.includes("")) choices.unshift("");
      control = make("select", shared, ...choices.map((one) => make("option", { value: one }, one || "none")));
    } else {
      control = make("input", { ...shared, placeholder: option.optional ? "none" : "", spellcheck: false,
        inputMode: { whole: "numeric", number: "decimal" }[option.kind] ?? "text" });
    }
    control.value = this.changes[method]?.[`${prefix}${option.name}`] ?? value;
    const field = make("div", { class: "field", "data-field": `methods.${method}.${prefix}${option.name}` },
      make("label", { htmlFor: id }, option.name), control, make("p", { class: "error", role: "alert" }), make("p", { class: "quiet" }, about));
    this.mark(control);
    return field;
  }

  fill(fields, values) {
    for (const one of fields.querySelectorAll("[data-option]")) {
      one.value = values[one.dataset.option] ?? one.value;
      this.mark(one);
      one.dispatchEvent(new Event("change"));
    }
  }

  mark(control) {
    control.parentElement.classList.toggle("changed", control.value !== control.dataset.default);
  }

  /** The methods that are picked, with the options that are not the backbone's default. */
  asked() {
    return this.all().filter((one) => this.picked.has(one.name));
  }

  /** Every method that the backbone can do, the same way. */
  all() {
    return [...find("methods").querySelectorAll(".method")].filter((one) => !one.querySelector("input.pick").disabled).map((one) => ({
      name: one.querySelector("input.pick").value,
      options: Object.fromEntries([...one.querySelectorAll("[data-option]")]
        .filter((option) => option.value.trim() !== option.dataset.default).map((option) => [option.dataset.option, option.value.trim()])),
    }));
  }
}
