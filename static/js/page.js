// What every page has: the theme switch, the menu on a phone, copy buttons, waits that count down.
(() => {
  const root = document.documentElement;
  const order = ["system", "light", "dark"];

  function setTheme(choice) {
    root.dataset.choice = choice;
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    try {
      localStorage.setItem("theme", choice === "system" ? "auto" : choice);
    } catch {
      // the choice then lasts for this page only
    }
    nameTheme();
  }

  function nameTheme() {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      const label = button.dataset[root.dataset.choice || "system"];
      button.setAttribute("aria-label", label);
      button.title = label;
    }
  }

  function toggleMenu(button) {
    const menu = document.getElementById(button.getAttribute("aria-controls"));
    const open = menu.classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  }

  async function copy(button) {
    const source = document.querySelector(button.dataset.copy);
    const text = button.dataset.copyText || (source && (source.value || source.innerText)) || "";
    try {
      await navigator.clipboard.writeText(text.trim());
      say(button.dataset.copied || "");
      button.classList.add("copied");
      setTimeout(() => button.classList.remove("copied"), 1500);
    } catch {
      if (source?.select) source.select(); // no clipboard here: leave it selected for the person to copy
    }
  }

  // One polite live region; the same sentence twice is said twice.
  function say(text) {
    const region = document.getElementById("said");
    if (!region || !text) return;
    region.textContent = "";
    setTimeout(() => (region.textContent = text), 50);
  }

  function countDown(note) {
    const out = note.querySelector("[data-seconds]");
    const timer = setInterval(() => {
      if (!note.isConnected) return clearInterval(timer);
      const left = Math.max(0, Number(out.dataset.seconds) - 1);
      out.dataset.seconds = left;
      out.textContent = left;
      if (left === 0) {
        clearInterval(timer);
        note.querySelector("[data-wait]")?.setAttribute("hidden", "");
        note.querySelector("[data-again]")?.removeAttribute("hidden");
      }
    }, 1000);
  }

  function settle(scope) {
    for (const note of scope.querySelectorAll("[data-countdown]:not([data-counting])")) {
      note.dataset.counting = "";
      countDown(note);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("themeSwitch" in button.dataset) setTheme(order[(order.indexOf(root.dataset.choice) + 1) % order.length]);
    else if ("menu" in button.dataset) toggleMenu(button);
    else if ("copy" in button.dataset || "copyText" in button.dataset) copy(button);
  });
  document.addEventListener("DOMContentLoaded", () => {
    nameTheme();
    settle(document);
  });
  document.addEventListener("htmx:after:swap", () => settle(document));
  window.agon = { say };
})();
