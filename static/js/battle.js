// One battle: reads the turn's event stream, shows both sides as they grow, and asks the server for the page when it ends.
(() => {
  const RETRY_MS = 2000;
  const MAX_RETRY_MS = 15000;
  const NEAR_END = 96; // px from the end that still count as "at the end"

  let source = null;
  let openUrl = "";
  let retryMs = RETRY_MS;
  let following = true;
  let endedUrl = "";
  let tab = "a";
  let wide = "";
  const unread = new Set(); // sides with text that this phone has not shown yet

  const battle = () => document.getElementById("battle");
  const ring = () => document.getElementById("ring");
  const turn = () => [...document.querySelectorAll(".turn")].pop();
  const answer = (side) => turn()?.querySelector(`.answer.${side}`);

  // --- the stream -----------------------------------------------------------------------------------------------
  function attach() {
    const url = battle()?.dataset.stream || "";
    if (url === openUrl && source) return;
    close();
    if (!url) return;
    // A turn that has just ended and is still open on the server: ask again, but not in a tight circle.
    if (url === endedUrl) setTimeout(() => battle()?.dataset.stream === url && !source && open(url), RETRY_MS);
    else open(url);
    endedUrl = "";
  }

  function open(url) {
    openUrl = url;
    following = true;
    clearLive();
    source = new EventSource(url);
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    on("status", showStatus);
    on("reset", reset);
    on("frame", frame);
    on("side", sideEnded);
    on("done", ended);
    source.onopen = () => (retryMs = RETRY_MS);
    source.onerror = () => {
      say("", battle()?.dataset.tLost);
      if (source?.readyState === EventSource.CLOSED) giveUp();
    };
  }

  // A new stream begins at the beginning, and the page may have been morphed around what an earlier one had written.
  function clearLive() {
    for (const section of turn()?.querySelectorAll(".answer.live") ?? []) {
      reset({ side: section.dataset.side, attempt: section.dataset.attempt });
    }
  }

  function close() {
    source?.close();
    source = null;
    openUrl = "";
  }

  // The browser has stopped trying (the server refused the stream): ask for the page, which says how things stand.
  function giveUp() {
    close();
    setTimeout(refresh, retryMs);
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
  }

  async function refresh() {
    const here = battle();
    if (!here) return;
    try {
      await htmx.ajax("GET", here.dataset.url, { source: here, target: here, swap: "outerMorph" });
    } catch {
      setTimeout(refresh, retryMs);
    }
  }

  // --- what the events do ---------------------------------------------------------------------------------------
  function showStatus({ state, position, eta_s: eta }) {
    const words = battle().dataset;
    let text = { busy: words.tBusy, thinking: words.tThinking, writing: words.tWriting }[state];
    if (state === "queued") {
      text = words.tQueued.replace("%p", position ?? "…");
      if (eta != null) text += `, ${words.tEta.replace("%s", eta)}`;
    }
    if (!text) return;
    for (const side of ["a", "b"]) {
      if (answer(side)?.classList.contains("live")) say(side, text, true);
    }
  }

  function say(side, text, busy = false) {
    for (const out of document.querySelectorAll(side ? `[data-status="${side}"]` : "[data-status]")) {
      const dot = Object.assign(document.createElement("span"), { className: "dot" });
      const words = Object.assign(document.createElement("span"), { textContent: text ?? "" });
      out.replaceChildren(...(busy ? [dot, words] : [words]));
    }
  }

  function reset({ side, attempt }) {
    const section = answer(side);
    if (!section) return;
    section.dataset.attempt = attempt;
    section.classList.add("live");
    section.setAttribute("aria-busy", "true");
    const text = section.querySelector(".text");
    text.replaceChildren(Object.assign(document.createElement("p"), { className: "tail" }));
  }

  function frame(sides) {
    const atEnd = following && nearEnd();
    for (const [side, part] of Object.entries(sides)) {
      const section = answer(side);
      if (!section || part.n < Number(section.dataset.attempt)) continue; // words of an attempt that was given up
      if (part.n > Number(section.dataset.attempt)) reset({ side, attempt: part.n });
      grow(section, part);
      if (ring().dataset.tab !== side) news(side, true);
    }
    if (atEnd) toEnd();
    chip();
  }

  function grow(section, { blocks, tail, add }) {
    const text = section.querySelector(".text");
    let open = text.querySelector(":scope > .tail");
    if (!open) text.append((open = Object.assign(document.createElement("p"), { className: "tail" })));
    if (blocks?.length) {
      const closed = document.createElement("template");
      closed.innerHTML = blocks.join(""); // made safe by the server; scripts of a template never run
      text.insertBefore(closed.content, open);
      window.agonText?.enhance(text);
    }
    if (tail != null || add) showTail(open, tail ?? (open.raw ?? "") + add);
  }

  // The open block as plain text; code that is still being written already looks like code.
  function showTail(open, raw) {
    open.raw = raw;
    const fence = /^(?:```|~~~)[^\n]*\n?/.exec(raw);
    open.classList.toggle("code", Boolean(fence));
    open.textContent = fence ? raw.slice(fence[0].length) : raw;
  }

  function sideEnded({ side, attempt, state }) {
    const section = answer(side);
    if (!section || attempt < Number(section.dataset.attempt)) return;
    section.classList.remove("live");
    section.removeAttribute("aria-busy");
    const words = battle().dataset;
    const ends = { done: "tDone", stopped: "tStopped", early: "tEarly", failed: "tFailed", blocked: "tBlocked" };
    say(side, words[ends[state]]);
    document.querySelector(`[data-stop="${side}"]`)?.setAttribute("hidden", "");
    if (state !== "failed" && state !== "blocked") window.agon?.say(side === "a" ? words.tSaidA : words.tSaidB);
  }

  async function ended({ next }) {
    const atEnd = following && nearEnd();
    endedUrl = openUrl;
    close();
    if (next) return location.replace(next);
    await refresh();
    if (atEnd) toEnd(); // the vote has made the dock taller; the last lines stay in sight
  }

  // --- after the server's page has been put in place ----------------------------------------------------------------
  function afterSwap() {
    if (!battle()) return;
    const before = phase;
    phase = battle().dataset.phase;
    showTab(tab); // the server knows nothing of tabs
    showWide();
    attach();
    chip();
    if (before === phase) return;
    if (phase === "ready") offerVote();
    if (phase === "voted" && before !== "streaming") land("result");
    if (phase === "streaming") toEnd();
  }

  let phase = "";

  function offerVote() {
    window.agon?.say(battle().dataset.tVote);
    const busy = document.activeElement?.matches("textarea, input, select") && document.activeElement.value;
    if (!busy) document.getElementById("vote")?.focus({ preventScroll: true });
  }

  function land(id) {
    const node = document.getElementById(id);
    node?.focus({ preventScroll: true });
    page().scrollTo({ top: 0, behavior: "instant" });
  }

  // --- reading ------------------------------------------------------------------------------------------------------
  const page = () => document.scrollingElement;
  const nearEnd = () => page().scrollHeight - page().scrollTop - window.innerHeight < NEAR_END;
  const toEnd = () => page().scrollTo({ top: page().scrollHeight, behavior: "instant" });

  function chip() {
    const button = document.querySelector("[data-jump]");
    if (button) button.hidden = !source || nearEnd();
  }

  function news(side, on) {
    if (on) unread.add(side);
    else unread.delete(side);
    for (const dot of document.querySelectorAll("[data-news]")) {
      dot.hidden = !unread.has(dot.closest("[data-tab-of]").dataset.tabOf);
    }
  }

  function showTab(side, focus = false) {
    tab = side;
    ring().dataset.tab = side;
    for (const tab of document.querySelectorAll("[data-tab-of]")) {
      const chosen = tab.dataset.tabOf === side;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && focus) tab.focus();
    }
    news(side, false);
  }

  function widen(button) {
    wide = wide === button.dataset.widen ? "" : button.dataset.widen;
    showWide();
  }

  function showWide() {
    ring().dataset.wide = wide;
    for (const button of document.querySelectorAll("[data-widen]")) {
      button.setAttribute("aria-pressed", String(wide === button.dataset.widen));
    }
  }

  function askAgain(button) {
    const open = document.getElementById("dock").classList.toggle("asking");
    button.setAttribute("aria-expanded", String(open));
    if (open) document.getElementById("prompt")?.focus();
  }

  function onClick(event) {
    const button = event.target.closest?.("button");
    if (!button) return;
    if (button.dataset.tabOf) showTab(button.dataset.tabOf);
    else if (button.dataset.widen) widen(button);
    else if ("jump" in button.dataset) ((following = true), toEnd()); // before the next words, not after them
    else if ("askAgain" in button.dataset) askAgain(button);
  }

  // A swipe across the answers changes the tab, unless it scrolls something or is rather vertical.
  let touch = null;
  function onTouchStart(event) {
    const inside = event.target.closest?.(".turn") && !event.target.closest("pre, .table, .math, textarea, input");
    touch = inside && event.touches.length === 1 ? event.touches[0] : null;
  }
  function onTouchEnd(event) {
    if (!touch || !ring() || getComputedStyle(document.querySelector(".panetabs")).display === "none") return;
    const dx = event.changedTouches[0].clientX - touch.clientX;
    const dy = event.changedTouches[0].clientY - touch.clientY;
    touch = null;
    if (Math.abs(dx) < 60 || Math.abs(dx) < 2 * Math.abs(dy)) return;
    const forward = document.documentElement.dir === "rtl" ? dx > 0 : dx < 0;
    showTab(forward ? "b" : "a");
  }

  document.addEventListener("click", onClick);
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.("[role=tab]") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    showTab(tab === "a" ? "b" : "a", true);
  });
  document.addEventListener("touchstart", onTouchStart, { passive: true });
  document.addEventListener("touchend", onTouchEnd, { passive: true });
  window.addEventListener("scroll", () => ((following = nearEnd()), chip()), { passive: true });
  document.addEventListener("htmx:after:swap", afterSwap);
  document.addEventListener("DOMContentLoaded", () => {
    phase = battle()?.dataset.phase ?? "";
    showTab("a");
    attach();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && refresh());
})();
