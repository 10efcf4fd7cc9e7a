// Keys of the battle page and of raters: 1-4 vote in the order of the buttons, N new battle, Esc stop, / to the prompt box.
(() => {
  const typing = (node) => node?.matches?.("textarea, input:not([type=radio], [type=checkbox]), select, [contenteditable]");

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (event.key === "Escape") return escape(event);
    if (typing(event.target)) return;
    const vote = /^[1-4]$/.test(event.key) && document.querySelector(`#vote [data-key="${event.key}"]`);
    if (vote) vote.click();
    else if (event.key === "n" || event.key === "N") document.querySelector("a[data-new]")?.click();
    else if (event.key === "/") focusPrompt(event);
  }

  function escape(event) {
    const stop = document.querySelector('form[data-stop=""]');
    if (stop) stop.requestSubmit();
    else if (typing(event.target)) event.target.blur();
  }

  function focusPrompt(event) {
    const box = document.getElementById("prompt");
    if (!box) return;
    event.preventDefault();
    const fold = document.querySelector("[data-ask-again]");
    if (fold?.getAttribute("aria-expanded") === "false" && fold.checkVisibility()) fold.click();
    box.focus();
  }

  document.addEventListener("keydown", press);
})();
