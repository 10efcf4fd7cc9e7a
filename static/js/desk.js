// Keys of the moderation desk. They press what is on the page, so that the server decides as for a click; while somebody types, and
// with a modifier held, they do nothing.
(() => {
  const typing = (node) => node?.matches?.("textarea, input:not([type=checkbox], [type=radio]), select, [contenteditable]");
  const rows = () => [...document.querySelectorAll("[data-row]")];

  let wanted = null; // the button that waits for its reason

  function press(event) {
    if (event.key === "Enter" && wanted && event.target.name === "reason" && event.target.value.trim()) return wanted.click();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target)) return;
    const act = { j: () => go("after", 1), k: () => go("before", -1), r: () => toggle("reveal"), "?": () => toggle("keys") }[event.key];
    if (act) act();
    else if (event.key === "p" || event.key === "b") decide(event.key);
    else return;
    event.preventDefault();
  }

  // On a case: the neighbour's page. On a list: the neighbouring row gets the focus.
  function go(where, step) {
    const link = document.querySelector(`[data-go="${where}"]`);
    if (link) return link.click();
    const all = rows();
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1)]?.focus();
  }

  function toggle(id) {
    const details = document.getElementById(id);
    if (!details) return;
    details.open = !details.open;
    if (details.open && id === "keys") details.scrollIntoView({ block: "nearest" }); // below the fold of a long case
  }

  function decide(key) {
    const button = document.querySelector(`button[data-key="${key}"]`);
    if (!button) return;
    const reason = button.form.elements.reason;
    if (!("needsReason" in button.dataset) || reason.value.trim()) return button.click();
    wanted = button;
    reason.focus();
  }

  document.addEventListener("keydown", press);
  document.getElementById("refusal")?.focus();
})();
