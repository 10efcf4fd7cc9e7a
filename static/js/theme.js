// Runs before the first paint, so that a chosen theme never flashes. Small on purpose: it blocks the page.
(() => {
  const root = document.documentElement;
  let choice = "system";
  try {
    choice = localStorage.getItem("theme") || "system";
  } catch {
    // storage may be forbidden; the system's theme is fine
  }
  root.classList.add("js");
  root.dataset.choice = choice;
  if (choice !== "system") root.dataset.theme = choice;
})();
