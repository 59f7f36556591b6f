// The form: keeps the page's address equal to what is set, so that a reload, a bookmark or a second tab has it all.

import { note } from "./notes.js";

class PaintComposer extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.addEventListener("input", () => this.keep());
    this.addEventListener("asset", ({ detail }) => this.take(detail));
    this.addEventListener("submit", (event) => this.check(event), true);
    this.addEventListener("htmx:afterSwap", () => this.keep());
    document.addEventListener("picked", () => this.keep());
    this.showStrength();
  }

  keep() {
    const set = [...new FormData(this.form)].filter(([, value]) => typeof value === "string" && value);
    const stage = document.getElementById("stage");
    if (stage && "picked" in stage.dataset) set.push(["job", stage.dataset.job]);
    history.replaceState(null, "", `/?${new URLSearchParams(set)}`);
    this.showStrength();
  }

  showStrength() {
    const { value } = this.form.elements.strength;
    this.querySelector("#strength-is").textContent = `${Math.round(100 * value)} %`;
  }

  take({ kind, id, address }) {
    if (kind === "content" && address) {
      location.assign(address);
      return;
    }
    if (kind === "content") this.photo(id);
    else this.look(id);
    this.keep();
  }

  photo(id) {
    this.form.elements.content.value = id;
    const zone = this.querySelector("drop-zone.photo"), picture = zone.querySelector("img");
    picture.src = `/studio/pictures/assets/${id}?px=400`;
    picture.hidden = false;
    zone.toggleAttribute("data-filled", true);
    zone.querySelector(".missing")?.remove();
    this.querySelector("mask-painter").show(picture.src);
  }

  // The first of one's own styles takes the place of what was chosen; more are mixed.
  look(id) {
    const known = this.querySelector(`input[name=style][value="${id}"]`);
    if (known) {
      known.checked = true;
      return;
    }
    const added = this.querySelector("#own-style").content.cloneNode(true);
    added.querySelector("input").value = id;
    added.querySelector("img").src = `/studio/pictures/assets/${id}?px=160`;
    this.querySelector(".swatches").prepend(added);
    this.querySelector("mask-painter .with").prepend(new Option("your picture", id));
  }

  check(event) {
    const { content } = this.form.elements;
    const hasStyle = this.querySelector("input[name=style]:checked, input[name=region]");
    const lacks = !content.value ? "drop a photo first"
      : this.querySelector("mask-painter").isPainted ? "keep or clear the region that you brushed"
        : hasStyle ? "" : "choose a style first";
    if (!lacks) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    note(lacks);
    this.querySelector(content.value ? "input[name=style]" : "drop-zone.photo input[type=file]").focus();
  }
}

customElements.define("paint-composer", PaintComposer);
