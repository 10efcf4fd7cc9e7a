// The prompt box: Enter sends (not while an input method composes), Shift+Enter breaks the line, a counter, one key per send.
(() => {
  const number = new Intl.NumberFormat(document.documentElement.lang || "en");

  function newKey() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16)); // plain http: randomUUID is missing there
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  const form = (node) => node.closest?.("[data-composer]");
  const length = (text) => [...text].length; // code points, as the server counts

  function update(area) {
    const limit = Number(area.dataset.limit);
    const used = area.value.length > limit / 2 ? length(area.value) : area.value.length;
    const counter = form(area)?.querySelector("[data-counter]");
    const over = used > limit;
    if (counter) {
      counter.textContent = `${number.format(used)} / ${number.format(limit)}${over ? ` · ${counter.dataset.over}` : ""}`;
      counter.classList.toggle("over", over);
    }
    area.setAttribute("aria-invalid", String(over));
    if (!CSS.supports("field-sizing", "content")) {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight}px`;
    }
  }

  // A changed text is a new send: a key that was used for another text would bring back the old turn.
  function refreshKey(composer) {
    if (!composer.dataset.sent) return;
    composer.querySelector("[name=key]").value = newKey();
    delete composer.dataset.sent;
  }

  function onKey(event) {
    const area = event.target;
    if (event.key !== "Enter" || event.shiftKey || !area.matches?.("[data-composer] textarea[name=prompt]")) return;
    if (event.isComposing || event.keyCode === 229) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (area.value.trim() && area.getAttribute("aria-invalid") !== "true") form(area).requestSubmit();
  }

  function onExample(event) {
    const link = event.target.closest?.("[data-example]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const area = document.querySelector("[data-composer] textarea[name=prompt]");
    if (!area) return;
    event.preventDefault();
    area.value = link.dataset.example;
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.focus();
  }

  function settle() {
    for (const area of document.querySelectorAll("[data-composer] textarea[name=prompt]")) update(area);
  }

  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onExample);
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("[data-composer] textarea[name=prompt]")) return;
    refreshKey(form(event.target));
    update(event.target);
  });
  document.addEventListener("submit", (event) => {
    const composer = form(event.target);
    if (composer) composer.dataset.sent = "1";
  });
  document.addEventListener("DOMContentLoaded", settle);
  document.addEventListener("htmx:after:swap", settle);
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const composer of document.querySelectorAll("[data-composer]")) {
      composer.dataset.sent = "1"; // restored from the back-forward cache: its key may have been used
      refreshKey(composer);
    }
  });
})();
