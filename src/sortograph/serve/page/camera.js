// Photos from the camera, as files like any others.

import { byId, closeBeside } from "./dom.js";
import { t } from "./words.js";

const QUALITY = 0.95;

export class Camera {
  /** taken: is called with [{file, path}] */
  constructor(taken) {
    this.taken = taken;
    this.dialog = byId("camera");
    this.video = byId("camera-video");
    this.count = 0;
    this.stream = null;
    closeBeside(this.dialog);
    byId("camera-take").addEventListener("click", () => this.take());
    this.dialog.addEventListener("close", () => this.stop());
  }

  /** Opens the camera; where pages may not (without https), the system's own camera on a phone. */
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      byId("pick-camera").click();
      return;
    }
    this.tell("");
    byId("camera-take").disabled = true;
    this.dialog.showModal();
    try {
      const wanted = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1440 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (!this.dialog.open) return end(stream);
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      byId("camera-take").disabled = false;
      byId("camera-take").focus();
    } catch (error) {
      this.tell(t(error.name === "NotAllowedError" ? "camera.denied" : "camera.none"));
    }
  }

  async take() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const photo = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    this.count += 1;
    const name = `camera-${String(this.count).padStart(3, "0")}.jpg`;
    this.taken([{ file: new File([photo], name, { type: "image/jpeg" }), path: name }]);
    this.tell(t("camera.taken", { n: this.count }));
  }

  tell(text) {
    byId("camera-note").textContent = text;
  }

  stop() {
    if (this.stream) end(this.stream);
    this.stream = null;
    this.video.srcObject = null;
  }
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}
