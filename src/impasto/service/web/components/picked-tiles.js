// The gallery's button to compare: how many are picked, and that it takes two.

const button = document.getElementById("compare");

document.addEventListener("change", () => {
  const picked = document.querySelectorAll(".pick input:checked").length;
  button.disabled = picked < 2;
  button.textContent = picked < 2 ? "Compare" : `Compare ${picked}`;
});
