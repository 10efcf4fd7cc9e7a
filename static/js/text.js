// Model text after it has arrived: copy buttons on code, and formulas. KaTeX is fetched when the first formula appears.
(() => {
  const { katex: katexUrl, katexCss, copy, copied } = document.currentScript.dataset;
  let loading = null;

  function loadKatex() {
    loading ??= new Promise((resolve, reject) => {
      const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: katexCss });
      const script = Object.assign(document.createElement("script"), { src: katexUrl });
      script.onload = () => resolve(window.katex);
      script.onerror = reject;
      document.head.append(sheet, script);
    });
    return loading;
  }

  async function typeset(formulas) {
    let katex;
    try {
      katex = await loadKatex();
    } catch {
      loading = null; // the source stays readable; the next formula tries again
      return;
    }
    for (const node of formulas) {
      if (node.classList.contains("typeset") || !node.isConnected) continue;
      const displayMode = node.classList.contains("display");
      const options = { displayMode, throwOnError: false, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200 };
      katex.render(node.textContent, node, options);
      node.classList.add("typeset");
    }
  }

  function addCopyButton(figure) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy-code icon-only";
    button.setAttribute("aria-label", copy);
    button.title = copy;
    button.dataset.copied = copied;
    button.innerHTML =
      '<svg class="icon i-copy" viewBox="0 0 24 24" aria-hidden="true"><path d="M9 9h10v11H9zM5 15V4h10"/></svg>' +
      '<svg class="icon i-check" viewBox="0 0 24 24" aria-hidden="true"><path d="m5 12.5 4.5 4.5L19 7.5"/></svg>';
    button.addEventListener("click", () => {
      button.dataset.copyText = figure.querySelector("pre")?.textContent ?? "";
    });
    figure.append(button);
  }

  function enhance(scope) {
    for (const figure of scope.querySelectorAll("figure.code[data-copy]")) {
      if (!figure.querySelector(".copy-code")) addCopyButton(figure);
    }
    const formulas = scope.querySelectorAll(".math:not(.typeset)");
    if (formulas.length) typeset([...formulas]);
  }

  window.agonText = { enhance };
  document.addEventListener("DOMContentLoaded", () => enhance(document));
  document.addEventListener("htmx:after:swap", () => enhance(document));
})();
