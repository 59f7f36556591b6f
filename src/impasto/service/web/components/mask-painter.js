// A brush over the photo. What it covers becomes a mask, white on black, which is uploaded like any picture; a region is
// a mask and the style it takes, kept in the form as "mask:style".

import { ask, note } from "./notes.js";

const LONGER_PX = 1024;
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class MaskPainter extends HTMLElement {
  connectedCallback() {
    this.photo = this.querySelector(".easel img");
    this.canvas = this.querySelector("canvas");
    this.brush = this.querySelector(".brush");
    this.kept = this.querySelector(".kept");
    this.tip = this.querySelector(".tip");
    this.spot = [0.5, 0.5];
    this.photo.addEventListener("load", () => this.fit());
    this.brush.addEventListener("input", () => this.showBrush());
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.canvas.hasPointerCapture(event.pointerId) && this.draw(event));
    this.canvas.addEventListener("keydown", (event) => this.steer(event));
    this.querySelector(".keep").addEventListener("click", () => this.keep().catch((error) => note(error.message)));
    this.querySelector(".clear").addEventListener("click", () => this.fit());
    this.kept.addEventListener("click", ({ target }) => {
      if (!target.matches(".remove")) return;
      target.closest("li").remove();
      this.tell();
    });
    this.canvas.addEventListener("focus", () => this.showBrush()); // its size on the page is known by then
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
    const box = this.canvas.getBoundingClientRect();
    this.stroke([(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
  }

  // Arrow keys move the brush, with Shift they paint on the way, and the space bar dabs.
  steer(event) {
    const way = WAYS[event.key];
    if (!way && event.key !== " ") return;
    event.preventDefault();
    if (!this.photo.naturalWidth) {
      note("drop a photo first");
      return;
    }
    if (!way || !event.shiftKey) this.last = null;
    if (!way || (event.shiftKey && !this.last)) this.stroke(this.spot);
    if (!way) return;
    const step = this.brush.value / 400; // a fourth of its width
    this.spot = this.spot.map((place, axis) => Math.min(1, Math.max(0, place + step * way[axis])));
    if (event.shiftKey) this.stroke(this.spot);
    this.showBrush();
  }

  // On to a spot, given in shares of the photo's width and height.
  stroke(spot) {
    const { width, height } = this.canvas, place = [spot[0] * width, spot[1] * height];
    const context = this.canvas.getContext("2d");
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = (this.brush.value / 100) * LONGER_PX;
    context.strokeStyle = "#fff";
    context.beginPath();
    context.moveTo(...(this.last || [place[0] - 0.5, place[1]])); // a line of no length leaves no mark
    context.lineTo(...place);
    context.stroke();
    [this.spot, this.last] = [spot, place];
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
    const { width, height } = this.canvas.getBoundingClientRect();
    this.tip.style.width = `${(this.brush.value / 100) * Math.max(width, height)}px`;
    [this.tip.style.left, this.tip.style.top] = this.spot.map((place) => `${100 * place}%`);
  }

  tell() {
    this.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

customElements.define("mask-painter", MaskPainter);
