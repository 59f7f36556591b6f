(() => {
  const given = document.getElementById("decisions").textContent;
  const cards = [...document.querySelectorAll("[data-slot]")], shown = new Set(cards.map((card) => card.dataset.slot));
  const key = "impasto-campaign-" + document.querySelector("main").dataset.place;
  let said = JSON.parse(given);
  try {
    // What was decided here counts until the campaign itself has other decisions.
    const kept = JSON.parse(localStorage.getItem(key));
    if (kept?.given === given)
      said = Object.fromEntries(Object.entries(kept.said).filter(([slot]) => shown.has(slot) || slot in said));
  } catch { /* a page opened as a file may have no storage */ }
  const count = document.getElementById("count"), link = document.getElementById("save");
  const strengthOf = (input) => {
    const value = input.valueAsNumber || Number(input.defaultValue);
    return Math.min(1, Math.max(0.05, value));
  };
  const show = () => {
    for (const card of cards) {
      const mine = said[card.dataset.slot], strength = card.querySelector("input");
      for (const button of card.querySelectorAll("button"))
        button.setAttribute("aria-pressed", String(mine?.decision === button.value));
      if (!strength) continue;
      strength.parentElement.hidden = mine?.decision !== "redo";
      if (mine?.strength != null && strength !== document.activeElement) strength.value = mine.strength;
    }
    const all = [...shown].map((slot) => said[slot]?.decision);
    count.textContent = ["approve", "reject", "redo"]
      .map((name) => `${all.filter((one) => one === name).length} ${name}`).join(" · ");
  };
  // Only what was decided is kept: a page that has just been loaded may not see yet what the one before it kept.
  const keep = () => {
    try { localStorage.setItem(key, JSON.stringify({ given, said })); } catch { /* as above */ }
    show();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-slot] button");
    if (!button) return;
    const card = button.closest("[data-slot]"), decision = button.value, { slot, key: output } = card.dataset;
    if (said[slot]?.decision === decision) delete said[slot];
    else said[slot] = { decision, key: output,
      ...(decision === "redo" ? { strength: strengthOf(card.querySelector("input")) } : {}) };
    keep();
  });
  document.addEventListener("input", (event) => {
    const mine = said[event.target.closest("[data-slot]")?.dataset.slot];
    if (mine?.decision === "redo") mine.strength = strengthOf(event.target);
    keep();
  });
  link.addEventListener("click", () => {
    link.href = URL.createObjectURL(new Blob([JSON.stringify(said, null, 1)], { type: "application/json" }));
  });
  show();
})();
