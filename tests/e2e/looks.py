"""What is measured of a page besides axe's rules: targets that are too small, pages that are too wide."""

PAGES = [
    *("/", "/me/", "/datasets", "/terms", "/privacy", "/about", "/log", "/receipt"),
    *("/leaderboard", "/leaderboard/plots", "/leaderboard/sampling", "/methodology"),
]


SMALL = """() => [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), textarea')]
  .filter((node) => node.checkVisibility() && !node.closest('p, label, .text, td, .skip'))
  .map((node) => [node.outerHTML.slice(0, 80), node.getBoundingClientRect()])
  .filter(([, box]) => box.height < 43.5 || box.width < 24).map(([html]) => html)"""


TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
