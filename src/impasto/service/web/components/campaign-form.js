// A new campaign: photos are uploaded as they are dropped, and the API takes the rest in one request.

import { ask, note } from "./notes.js";

class CampaignForm extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.inputs = new Map();
    this.addEventListener("asset", ({ detail }) => this.add(detail));
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start().catch((error) => note(error.message));
    });
  }

  add({ id, name }) {
    if (this.inputs.has(id)) return;
    this.inputs.set(id, this.free(name));
    const line = document.createElement("li"), picture = document.createElement("img");
    picture.src = `/studio/pictures/assets/${id}?px=160`;
    picture.alt = name;
    line.append(picture);
    this.querySelector(".inputs").append(line);
  }

  // A name for the picture's files: its own, as far as it is one, and no other's.
  free(name) {
    const stem = name.replace(/\.[^.]*$/, "").replace(/[^\w .()-]/g, " ").trim().replace(/^[^a-z0-9]+/i, "").slice(0, 60) || "photo";
    const taken = new Set([...this.inputs.values()].map((one) => one.toLowerCase()));
    let free = stem;
    for (let count = 2; taken.has(free.toLowerCase()); count++) free = `${stem} ${count}`;
    return free;
  }

  async start() {
    const data = new FormData(this.form), pack = data.get("pack").trim(), name = data.get("name").trim();
    if (!this.inputs.size) throw new Error("drop some photos first");
    if (!pack && !data.getAll("style").length) throw new Error("choose a style first");
    const rules = pack ? { pack } : { styles: data.getAll("style") };
    const inputs = [...this.inputs].map(([asset, its]) => ({ asset, name: its }));
    const { id } = await ask("POST", "/v1/campaigns", { ...rules, ...(name && { name }), inputs });
    location.assign(`/campaigns/${id}`);
  }
}

customElements.define("campaign-form", CampaignForm);
