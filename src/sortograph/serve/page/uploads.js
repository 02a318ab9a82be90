// Sends photos in small batches, a few requests at once.

import { LATE, Problem, pause, predict } from "./api.js";

const AT_ONCE = 4;
const IN_BATCH = 8;
const BATCH_BYTES = 12 * 2 ** 20;
const FORM_BYTES = 4096; // what a form adds to a photo
const TRIES = 3; // of a photo, where nobody answers
const LONG = new Set([408, 413, 504]);

export class Uploads {
  /**
   * limits: as GET /v1/models gives them
   * model: gives the name of the model to ask
   * changed: is called with photos that have changed
   * refused: is called when the server wants a token
   */
  constructor({ limits, model, changed, refused }) {
    Object.assign(this, { limits, model, changed, refused });
    this.queue = [];
    this.running = new Set();
    this.stop = new AbortController();
  }

  get busy() {
    return this.queue.length > 0 || this.running.size > 0;
  }

  add(photos) {
    const other = photos.filter((photo) => photo.state !== "queued");
    for (const photo of other) Object.assign(photo, { state: "queued", problem: null });
    this.changed(other);
    this.queue.push(...photos);
    this.pump();
  }

  /** Stops what is sent and what waits; those photos can be tried again. */
  cancel() {
    this.stop.abort();
    this.stop = new AbortController();
    const stopped = this.queue.splice(0);
    for (const photo of stopped) photo.state = "stopped";
    this.changed(stopped);
  }

  drop(photos) {
    const gone = new Set(photos);
    this.queue = this.queue.filter((photo) => !gone.has(photo));
  }

  pump() {
    while (this.running.size < AT_ONCE && this.queue.length > 0) {
      const batch = this.next();
      if (batch.length === 0) return;
      const work = this.send(batch);
      this.running.add(work);
      work.finally(() => {
        this.running.delete(work);
        this.pump();
        this.changed([]);
      });
    }
  }

  /** The next photos of the queue that go into one request. What is too large for any is refused. */
  next() {
    const batch = [];
    let room = Math.min(BATCH_BYTES, this.limits.body_bytes - FORM_BYTES);
    while (this.queue.length > 0 && batch.length < Math.min(IN_BATCH, this.limits.photos)) {
      const [{ file, alone }] = this.queue;
      const bytes = file.size + FORM_BYTES; // asked now: of a thousand files at once it takes long
      const refused = bytes > this.limits.body_bytes;
      if (!refused && batch.length > 0 && (alone || bytes > room)) break;
      const photo = this.queue.shift();
      if (refused) this.refuse(photo);
      else batch.push(photo);
      if (!refused) room -= bytes;
      if (alone) break;
    }
    return batch;
  }

  refuse(photo) {
    this.giveUp([photo], new Problem({ status: 413, code: "too-large" }));
    this.changed([photo]);
  }

  async send(photos) {
    const { signal } = this.stop;
    const model = this.model();
    for (const photo of photos) Object.assign(photo, { state: "sent", tries: photo.tries + 1, signal });
    this.changed(photos);
    try {
      const said = await predict(photos.map((photo) => photo.file), { model, signal });
      if (!signal.aborted) this.settle(photos, said);
    } catch (error) {
      await this.failed(photos, error, signal);
    }
    this.changed(photos);
  }

  settle(photos, { predictions, model = "", sha256 = "" }) {
    photos.forEach((photo, place) => {
      Object.assign(photo, { state: "done", answer: predictions[place], model, sha256, problem: null });
    });
  }

  async failed(photos, error, signal) {
    if (signal.aborted) {
      const mine = photos.filter((photo) => photo.state === "sent" && photo.signal === signal);
      for (const photo of mine) photo.state = "stopped"; // the others are asked about again by now
    } else if (!(error instanceof Problem)) {
      throw error;
    } else if (error.predictions?.length === photos.length) {
      this.settle(photos, error); // none could be read: each says why
    } else if (error.code === "offline") {
      await this.unanswered(photos, error);
    } else if (isTooMuch(error) && photos.length > 1) {
      for (const photo of photos) photo.alone = true;
      this.again(photos);
    } else {
      this.giveUp(photos, error);
      if (error.status === 401) this.refused();
    }
  }

  /** Nobody answers: or a file is gone from the disk, which looks the same from here. */
  async unanswered(photos, error) {
    const there = await Promise.all(photos.map(({ file }) => isThere(file)));
    const rest = photos.filter((_, place) => there[place]);
    const tired = rest.filter((photo) => photo.tries >= TRIES);
    const fresh = rest.filter((photo) => photo.tries < TRIES);
    if (rest.length === photos.length) pause(1);
    this.giveUp(photos.filter((_, place) => !there[place]), new Problem({ code: "gone" })); // prettier-ignore
    this.giveUp(tired, error);
    this.again(fresh);
  }

  giveUp(photos, problem) {
    for (const photo of photos) Object.assign(photo, { state: "failed", problem, tries: 0 });
  }

  again(photos) {
    for (const photo of photos) photo.state = "queued";
    this.queue.unshift(...photos);
  }
}

/** A batch that was too much may do photo by photo. */
const isTooMuch = ({ status, code }) => LONG.has(status) || code === LATE;

async function isThere(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
