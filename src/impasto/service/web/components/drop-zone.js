// Takes files, dropped or chosen, sends them to the service and says what it knows of them: an "asset" event with the
// kind of the zone, the asset's id, and the address of the page with the file's own settings if it was painted here.

import { ask, note } from "./notes.js";

class DropZone extends HTMLElement {
  connectedCallback() {
    const input = this.querySelector("input[type=file]");
    input.addEventListener("change", () => {
      this.send([...input.files]);
      input.value = "";  // so that the same file can be chosen again
    });
    this.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.toggleAttribute("data-over", true);
    });
    this.addEventListener("dragleave", () => this.removeAttribute("data-over"));
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      this.removeAttribute("data-over");
      this.send([...event.dataTransfer.files]);
    });
  }

  async send(files) {
    this.toggleAttribute("data-busy", true);
    for (const file of this.dataset.kind === "content" ? files.slice(0, 1) : files) {
      const form = new FormData();
      form.append("file", file);
      try {
        const detail = { kind: this.dataset.kind, name: file.name, ...(await ask("POST", "/studio/drop", form)) };
        this.dispatchEvent(new CustomEvent("asset", { bubbles: true, detail }));
      } catch (error) {
        note(`${file.name}: ${error.message}`);
      }
    }
    this.removeAttribute("data-busy");
  }
}

customElements.define("drop-zone", DropZone);

// A file that misses every zone must not make the browser leave the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
