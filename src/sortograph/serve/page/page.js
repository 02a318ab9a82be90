// Puts the page together: what is asked of whom, and what is shown when.

import * as api from "./api.js";
import { Camera } from "./camera.js";
import { words } from "./cards.js";
import { Closer } from "./closer.js";
import { Corrections } from "./corrections.js";
import * as csv from "./csv.js";
import { byId, closeBeside, el, letter } from "./dom.js";
import * as intake from "./intake.js";
import { Models } from "./model.js";
import { notify, say } from "./notices.js";
import * as known from "./photos.js";
import { Results } from "./results.js";
import { nextTheme, theme, wear } from "./settings.js";
import { Toolbar } from "./toolbar.js";
import { Uploads } from "./uploads.js";
import { LANGUAGES, choose, listed, speak, spoken, t, wanted, whenSpoken } from "./words.js";

const KEYS = ["arrows", "enter", "digits", "c", "h", "delete", "escape", "paste", "help"];

let uploads = null;
const early = []; // photos that came before the server had said what it takes
let unsaved = false; // corrections that are only on this page
const models = new Models(() => askAgain());
const house = { kept: false, classes: () => models.classes };
const act = {
  open: (photo) => closer.open(photo),
  heat: (photo) => known.isAnswered(photo) && closer.open(photo, true),
  choose: (photo) => corrections.open(photo),
  digit: (photo, digit) => corrections.digit(photo, digit),
  beside: (photo, step) => results.beside(photo, step),
  left: (photo) => results.focus(photo),
  retry: (photo) => send([photo]),
  remove: (photo) => remove([photo]),
};
const results = new Results({ act, classes: house.classes, drawn: () => toolbar.render() });
const closer = new Closer({ act, spec: async (name) => (await models.manifest(name)).preprocess });
const corrections = new Corrections({ house, changed: (photo) => changed([photo]), told: announceCorrection });
const camera = new Camera(take);
const toolbar = new Toolbar({ results, house, busy: () => uploads?.busy ?? false });

function changed(photos) {
  results.changed(photos);
  if (closer.isOpen && photos.includes(closer.photo)) closer.render();
}

function announceCorrection(photo) {
  const { label, state } = photo.correction;
  unsaved ||= state !== "kept";
  say(t("said.corrected", { name: photo.path, label, state: t(`correction.${state}`) }));
  if (state === "failed") notify(`${photo.path}: ${words(photo.correction.problem)}`);
}

/** Takes files in: photos are sent, other files are named. */
function take(files) {
  const [photos, others] = intake.sorted(files);
  if (others.length > 0) {
    const names = listed(others.map(({ path }) => path), 4); // prettier-ignore
    notify(t("others", { n: others.length, names }));
  }
  if (photos.length === 0) return;
  if (uploads === null) {
    early.push(...photos);
    return;
  }
  const made = photos.map(known.newPhoto);
  const first = results.photos.length === 0;
  results.add(made);
  place("work");
  send(made);
  if (first) byId("count").focus();
}

function send(photos) {
  toolbar.expect();
  uploads.add(photos);
}

function remove(photos) {
  uploads.drop(photos);
  const next = results.remove(photos);
  if (results.photos.length === 0) place("welcome");
  else if (next && !closer.isOpen) results.focus(next);
}

function clear() {
  const photos = results.photos;
  uploads.cancel();
  results.remove(photos);
  place("welcome");
  byId("main").focus();
  notify(t("cleared", { n: photos.length }), { text: t("undo"), run: () => bringBack(photos) });
}

function bringBack(photos) {
  results.add(photos);
  place("work");
}

/** Another model is to answer: all photos are asked again; corrections to its classes stay. */
function askAgain() {
  uploads.cancel();
  const photos = results.photos;
  for (const photo of photos) {
    const kept = models.classes.includes(photo.correction?.label);
    Object.assign(photo, { answer: null, tries: 0, correction: kept ? photo.correction : null });
  }
  results.view.label = "";
  send(photos);
}

/** Shows one of the page's three places. */
function place(name) {
  for (const each of ["welcome", "trouble", "work"]) byId(each).hidden = each !== name;
}

async function start() {
  place("welcome");
  try {
    const said = await api.models();
    models.take(said);
    house.kept = said.corrections;
    uploads ??= new Uploads({ limits: said.limits, model: () => models.name, changed, refused: askToken });
    byId("about-button").disabled = false;
    document.title = `${models.name} · sortograph`;
    toolbar.render();
    place(results.photos.length ? "work" : "welcome");
    take(early.splice(0));
  } catch (error) {
    if (!(error instanceof api.Problem)) throw error;
    if (error.status === 401) askToken();
    else trouble(t("trouble.title"), error.code === "offline" ? t("problem.offline") : words(error));
  }
}

function trouble(title, text) {
  byId("trouble-title").textContent = title;
  byId("trouble-words").textContent = text;
  byId("token-form").hidden = true;
  byId("trouble-again").hidden = false;
  place("trouble");
}

function askToken() {
  trouble(t("token.title"), t("token.words"));
  byId("token-form").hidden = false;
  byId("trouble-again").hidden = true;
  byId("token").focus();
}

function giveToken(event) {
  event.preventDefault();
  api.useToken(byId("token").value);
  byId("token").value = "";
  start().then(() => {
    if (byId("trouble").hidden) send(results.photos.filter(known.canRetry));
  });
}

function wireIntake() {
  const inputs = { files: byId("pick-files"), folder: byId("pick-folder"), camera: byId("pick-camera") };
  for (const input of Object.values(inputs)) {
    input.addEventListener("change", () => {
      take(intake.picked(input.files));
      input.value = "";
    });
  }
  for (const each of document.querySelectorAll("[data-pick]")) {
    const { pick } = each.dataset;
    each.addEventListener("click", () => (pick === "camera" ? camera.open() : inputs[pick].click()));
  }
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length > 0) take(intake.picked(event.clipboardData.files));
  });
}

function wireDrop() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const cover = byId("drop");
  addEventListener("dragover", (event) => {
    event.preventDefault(); // a photo dropped beside must not replace the page
    cover.hidden = !hasFiles(event);
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) cover.hidden = true;
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    cover.hidden = true;
    if (hasFiles(event)) take(await intake.dropped(event.dataTransfer));
  });
}

function wireWork() {
  byId("cancel").addEventListener("click", () => uploads.cancel());
  byId("retry").addEventListener("click", () => send(results.photos.filter(known.canRetry)));
  byId("clear").addEventListener("click", clear);
  byId("csv").addEventListener("click", () => {
    csv.download(csv.table(results.photos), csv.fileName(models.name));
    unsaved = false;
    notify(t("csv.done", { n: results.photos.length }));
  });
  addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  api.whenPaused((seconds) => toolbar.wait(seconds));
}

function wireTools() {
  const languages = byId("language");
  languages.append(...Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, lang: code }, name)));
  languages.addEventListener("change", () => choose(languages.value));
  byId("theme").addEventListener("click", () => {
    nextTheme();
    showTheme();
    say(byId("theme").title);
  });
  byId("about-button").addEventListener("click", () => models.show());
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("trouble-again").addEventListener("click", start);
  byId("token-form").addEventListener("submit", giveToken);
  closeBeside(byId("help"));
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, dialog[open]");
    if (event.key === "?" && !typing && letter(event)) byId("help").showModal();
  });
}

function showTheme() {
  const name = document.documentElement.dataset.theme;
  byId("theme-icon").setAttribute("href", `#i-${name}`);
  byId("theme").title = t(`theme.${name}`);
  byId("theme").setAttribute("aria-label", t(`theme.${name}`));
}

function showKeys() {
  const keys = (name) => t(`keys.${name}`).split(" ").map((key) => el("kbd", {}, key)); // prettier-ignore
  const rows = KEYS.map((name) => el("div", {}, el("dt", {}, ...keys(name)), el("dd", {}, t(`help.${name}`))));
  byId("help-keys").replaceChildren(...rows);
}

/** What was written by scripts is written again in another language. */
function rewrite() {
  byId("language").value = spoken();
  showTheme();
  showKeys();
  models.render();
  changed(results.photos);
  toolbar.rewrite();
  if (!byId("trouble").hidden) start();
}

wear(theme());
wireIntake();
wireDrop();
wireWork();
wireTools();
whenSpoken(rewrite);
await speak(wanted());
document.documentElement.classList.remove("loading");
await start();
