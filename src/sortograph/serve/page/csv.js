// All results as a table, made in the browser.

import { isAnswered } from "./photos.js";

const HEADER = ["path", "label", "probability", "unsure", "error", "corrected", "kept", "model", "sha256"];
const MARK = "\ufeff"; // spreadsheets then read Korean names as they are

/** The text of the table. Cells that a spreadsheet would run begin with an apostrophe. */
export const table = (photos) =>
  MARK + [HEADER, ...photos.map(row)].map((cells) => cells.map(cell).join(",")).join("\n") + "\n";

function row(photo) {
  const { answer, correction } = photo;
  return [
    photo.path,
    answer?.label ?? "",
    isAnswered(photo) ? answer.probability : "",
    answer?.unsure ?? "",
    answer?.error ?? photo.problem?.message ?? (photo.state === "done" ? "" : photo.state),
    correction?.label ?? "",
    correction ? String(correction.state === "kept") : "",
    photo.model,
    photo.sha256,
  ];
}

function cell(value) {
  if (typeof value === "number") return String(value);
  // Apostrophes before it are counted in, so that a cell says how often it was guarded.
  const guarded = /^'*[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

/** Hands a text to the browser as a download. */
export function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may ask for a place first
}

/** weather-20260131-120000.csv */
export function fileName(model, now = new Date()) {
  const two = (value) => String(value).padStart(2, "0");
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  return `${model.replace(/[^\p{L}\p{N}._-]+/gu, "_") || "photos"}-${day}-${time}.csv`;
}
