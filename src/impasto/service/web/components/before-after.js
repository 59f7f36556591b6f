// The painted picture over its photo: a line to move with the pointer or the arrow keys shows one beside the other, and
// #share (strength after the fact) lets the photo through everywhere. Nothing is computed again.

class BeforeAfter extends HTMLElement {
  connectedCallback() {
    this.after = this.querySelector(".after");
    this.line = this.querySelector(".divider");
    this.style.setProperty("--ratio", this.after.getAttribute("width") / this.after.getAttribute("height"));
    this.line.addEventListener("input", () => this.show());
    this.addEventListener("pointerdown", (event) => this.take(event));
    this.addEventListener("pointermove", (event) => this.hasPointerCapture(event.pointerId) && this.follow(event));
    this.share = document.getElementById("share");
    this.share?.addEventListener("input", () => this.blend());
    this.show();
    if (this.share) this.blend();
  }

  take(event) {
    event.preventDefault();
    this.setPointerCapture(event.pointerId);
    this.line.focus({ preventScroll: true });
    this.follow(event);
  }

  follow(event) {
    const { left, width } = this.getBoundingClientRect();
    this.line.value = Math.round((100 * (event.clientX - left)) / width);
    this.show();
  }

  // Left of the line is the photo.
  show() {
    this.style.setProperty("--line", `${this.line.value}%`);
    this.after.style.clipPath = `inset(0 0 0 ${this.line.value}%)`;
    this.line.setAttribute("aria-valuetext", `${this.line.value} % photo, ${100 - this.line.value} % painted`);
  }

  blend() {
    const share = Number(this.share.value);
    this.after.style.opacity = String(share / 100);
    document.getElementById("share-is").textContent = `${share} %`;
    const job = this.share.dataset.job, link = document.getElementById("download");
    link.href = share === 100 ? `/v1/jobs/${job}/result` : `/studio/jobs/${job}/blend?share=${share / 100}`;
  }
}

customElements.define("before-after", BeforeAfter);
