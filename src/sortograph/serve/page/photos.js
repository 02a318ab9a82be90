// What is known of each photo, and what can be asked of it. Nothing here touches the page.

let last = 0;

/**
 * state: queued, sent, done, failed or stopped
 * answer: a prediction as the server gives it, once done
 * problem: a Problem, once failed
 * correction: {label, state: "sending" | "kept" | "listed" | "failed", problem}
 * keeping: settles when no correction is under way to the server
 */
export function newPhoto({ file, path }) {
  last += 1;
  return { id: last, file, path, state: "queued", answer: null, model: "", sha256: "", tries: 0,
    problem: null, correction: null, keeping: Promise.resolve(), thumbnail: null }; // prettier-ignore
}

export const isAnswered = (photo) => photo.state === "done" && photo.answer.error === null;
export const isUnlike = (photo) => isAnswered(photo) && photo.answer.unsure_code === "unlike";
export const isWithheld = (photo) => isAnswered(photo) && photo.answer.label === null;
export const isUnsure = (photo) =>
  isAnswered(photo) && photo.answer.unsure !== null && !isUnlike(photo) && !isWithheld(photo);
export const isSure = (photo) => isAnswered(photo) && photo.answer.unsure === null && !isWithheld(photo);
export const isUnreadable = (photo) => photo.state === "done" && photo.answer.error !== null;
export const isPending = (photo) => photo.state === "queued" || photo.state === "sent";
export const isCorrected = (photo) => photo.correction !== null;
export const hasFailed = (photo) =>
  isUnreadable(photo) || photo.state === "failed" || photo.state === "stopped";
export const canRetry = (photo) =>
  photo.state === "stopped" || (photo.state === "failed" && photo.problem.code !== "too-large");

/** The class that a person gave, else that of the model; null where there is neither. */
export const labelOf = (photo) =>
  photo.correction?.label ?? (isAnswered(photo) ? photo.answer.label : null);

/** What the model holds for the likeliest, even where the answer is withheld. */
export const guessOf = (photo) => photo.answer?.top_k[0]?.label ?? null;

export const FILTERS = {
  all: () => true,
  sure: isSure,
  unsure: isUnsure,
  unlike: isUnlike,
  withheld: isWithheld,
  corrected: isCorrected,
  failed: hasFailed,
};

/** Comparisons by name; photos without an answer come last. `classes` gives the order of classes. */
export const SORTS = {
  added: () => (a, b) => a.id - b.id,
  least: () => (a, b) => chance(a, 2) - chance(b, 2) || a.id - b.id,
  most: () => (a, b) => chance(b, -1) - chance(a, -1) || a.id - b.id,
  class: (classes) => {
    const places = new Map(classes.map((name, place) => [name, place]));
    const place = (photo) => places.get(labelOf(photo)) ?? classes.length;
    return (a, b) => place(a) - place(b) || chance(b, -1) - chance(a, -1) || a.id - b.id;
  },
  name: () => {
    const { compare } = new Intl.Collator(undefined, { numeric: true });
    return (a, b) => compare(a.path, b.path) || a.id - b.id;
  },
};

function chance(photo, otherwise) {
  return isAnswered(photo) ? photo.answer.probability : otherwise;
}

/** The photos to show, in order. */
export function chosen(photos, { filter, label, sort }, classes) {
  const fits = (photo) => FILTERS[filter](photo) && (label === "" || labelOf(photo) === label);
  return photos.filter(fits).sort(SORTS[sort](classes));
}
