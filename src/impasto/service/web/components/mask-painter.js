// A brush over the photo. What it covers becomes a mask, white on black, which is uploaded like any picture; a region is
// a mask and the style it takes, kept in the form as "mask:style".

import { ask, note } from "./notes.js";

const LONGER_PX = 1024;

class MaskPainter extends HTMLElement {
  connectedCallback() {
    this.photo = this.querySelector(".easel img");
    this.canvas = this.querySelector("canvas");
    this.brush = this.querySelector(".brush");
    this.kept = this.querySelector(".kept");
    this.photo.addEventListener("load", () => this.fit());
    this.brush.addEventListener("input", () => this.showBrush());
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.canvas.hasPointerCapture(event.pointerId) && this.draw(event));
    this.querySelector(".keep").addEventListener("click", () => this.keep().catch((error) => note(error.message)));
    this.querySelector(".clear").addEventListener("click", () => this.fit());
    this.kept.addEventListener("click", ({ target }) => {
      if (!target.matches(".remove")) return;
      target.closest("li").remove();
      this.tell();
    });
    this.showBrush();
    if (this.photo.complete && this.photo.naturalWidth) this.fit();
  }

  get isPainted() {
    return !this.querySelector(".keep").disabled;
  }

  // Another photo under the brush; regions of the one before mean nothing on it.
  show(address) {
    this.photo.src = address;
    this.photo.hidden = false;
    this.kept.replaceChildren();
  }

  // An empty mask in the photo's shape.
  fit() {
    const { naturalWidth: width, naturalHeight: height } = this.photo;
    const factor = LONGER_PX / Math.max(width, height);
    this.canvas.width = Math.round(width * factor);
    this.canvas.height = Math.round(height * factor);
    this.paintable(false);
  }

  paintable(is) {
    for (const name of [".keep", ".clear"]) this.querySelector(name).disabled = !is;
  }

  begin(event) {
    if (!this.photo.naturalWidth) {
      note("drop a photo first");
      return;
    }
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = null;
    this.draw(event);
  }

  draw(event) {
    const box = this.canvas.getBoundingClientRect(), { width, height } = this.canvas;
    const spot = [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
    const context = this.canvas.getContext("2d");
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = (this.brush.value / 100) * LONGER_PX;
    context.strokeStyle = "#fff";
    context.beginPath();
    context.moveTo(...(this.last || spot));
    context.lineTo(...spot);
    context.stroke();
    this.last = spot;
    this.paintable(true);
  }

  async keep() {
    const { width, height } = this.canvas, mask = new OffscreenCanvas(width, height), context = mask.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.drawImage(this.canvas, 0, 0);
    const form = new FormData();
    form.append("file", await mask.convertToBlob({ type: "image/png" }), "mask.png");
    const { id } = await ask("POST", "/v1/assets", form);
    const chosen = this.querySelector(".with"), line = this.querySelector("template").content.cloneNode(true);
    line.querySelector("input").value = `${id}:${chosen.value}`;
    line.querySelector("img").src = `/studio/pictures/assets/${id}?px=160`;
    line.querySelector("span").textContent = chosen.selectedOptions[0].textContent;
    this.kept.append(line);
    this.fit();
    this.tell();
  }

  showBrush() {
    this.querySelector(".brush-is").textContent = `${this.brush.value} %`;
  }

  tell() {
    this.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

customElements.define("mask-painter", MaskPainter);
