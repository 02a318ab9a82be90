// The models that the server has: which is asked, and the facts of it.

import { Problem, manifest } from "./api.js";
import { words } from "./cards.js";
import { byId, closeBeside, el } from "./dom.js";
import { listed, megabytes, number, percent, range, t } from "./words.js";

export class Models {
  /** changed: is called when another model is chosen */
  constructor(changed) {
    this.house = null;
    this.name = "";
    this.manifests = new Map();
    this.select = byId("model");
    this.select.addEventListener("change", () => {
      this.name = this.select.value;
      changed();
      this.render();
    });
    closeBeside(byId("about"));
  }

  /** What GET /v1/models said. */
  take(house) {
    this.house = house;
    const names = house.models.map(({ name }) => name);
    if (!names.includes(this.name)) this.name = house.default;
    this.select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    this.select.value = this.name;
    byId("model-chosen").hidden = names.length < 2;
    byId("model-name").hidden = names.length > 1;
    this.render();
  }

  get current() {
    return this.house.models.find(({ name }) => name === this.name);
  }

  get classes() {
    return this.house ? this.current.classes : [];
  }

  async manifest(name = this.name) {
    const { sha256 } = this.house.models.find((model) => model.name === name);
    if (!this.manifests.has(sha256)) this.manifests.set(sha256, (await manifest(name)).manifest);
    return this.manifests.get(sha256);
  }

  render() {
    if (!this.house) return;
    const { accuracy } = this.current;
    byId("model-name").textContent = this.name;
    byId("promises").hidden = false;
    byId("welcome-classes").textContent = t("welcome.classes", { classes: listed(this.classes) });
    byId("promise-value").textContent = accuracy ? percent(accuracy.value) : "–";
    byId("promise-words").textContent = accuracy
      ? t("promise.accuracy", { ...figures(accuracy), split: t(`split.${accuracy.split}`) })
      : t("promise.unknown");
    byId("promise-corrections").textContent = t(this.house.corrections ? "promise.kept" : "promise.listed");
  }

  /** Opens the panel with the facts of the model. */
  async show() {
    byId("about-name").textContent = this.name;
    byId("about-facts").replaceChildren(...this.facts(null));
    byId("about").showModal();
    try {
      byId("about-facts").replaceChildren(...this.facts(await this.manifest()));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      byId("about-facts").append(el("p", { class: "soft" }, words(error)));
    }
  }

  facts(known) {
    const { current, house } = this;
    const [height, width] = current.photos_size;
    const rows = [
      ["accuracy", current.accuracy ? accuracy(current.accuracy) : t("promise.unknown")],
      ["classes", el("ul", { class: "names" }, ...this.classes.map((name) => el("li", {}, name)))],
      ["size", t(`size.${known?.preprocess.mode ?? "any"}`, { width, height })],
      ["doubts", known ? doubts(known, house.max_error) : "…"],
      ["licence", known ? known.weights_licence || t("about.scratch") : "…"],
      ["recipe", current.recipe || "–"],
      ["limits", t("about.limits.value", { n: house.limits.photos, size: megabytes(house.limits.body_bytes) })],
      ["formats", house.formats.join(", ")],
      ["made", known?.made_with || "–"],
      ["hash", el("code", { title: current.sha256 }, current.sha256.slice(0, 16))],
    ];
    return rows.map(([name, value]) => el("div", {}, el("dt", {}, t(`about.${name}`)), el("dd", {}, value)));
  }
}

const figures = ({ low, high, level, n, split }) => ({
  range: range(low, high),
  level: number(level, { style: "percent" }),
  n,
  split,
});

/** The accuracy with its interval, drawn and in words. */
function accuracy(estimate) {
  const bar = el("span", { class: "interval", "aria-hidden": "true" }, el("i"), el("b"));
  for (const name of ["low", "high", "value"]) bar.style.setProperty(`--${name}`, estimate[name]);
  const values = { ...figures(estimate), split: t(`split.${estimate.split}`), method: estimate.method };
  return el(
    "div",
    {},
    el("strong", { class: "figure" }, percent(estimate.value)),
    bar,
    el("span", { class: "soft" }, t("about.accuracy.words", values)),
  );
}

/** What this model can say of its own answers. */
function doubts(known, maxError) {
  const set = known.conformal.find(({ level }) => level === 0.95);
  const said = [
    set ? t("about.doubts.set", { n: set.n }) : t("about.doubts.noSet"),
    known.likeness.threshold === undefined ? t("about.doubts.noLikeness") : t("about.doubts.likeness", { n: known.likeness.n }),
    maxError === null ? null : t("about.doubts.withheld", { share: percent(maxError) }),
  ];
  return el("ul", { class: "plain" }, ...said.filter(Boolean).map((text) => el("li", {}, text)));
}
