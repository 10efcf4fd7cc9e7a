// Runs before the first paint, so that a chosen theme never flashes. Small on purpose: it blocks the page.
(() => {
  const root = document.documentElement;
  let choice = "system";
  try {
    const stored = localStorage.getItem("theme"); // Django's admin keeps its choice under the same name; its "auto" is our "system"
    if (stored === "light" || stored === "dark") choice = stored;
  } catch {
    // storage may be forbidden; the system's theme is fine
  }
  root.classList.add("js");
  root.dataset.choice = choice;
  if (choice !== "system") root.dataset.theme = choice;
})();
