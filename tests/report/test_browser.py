"""The page in a real browser: no error, nothing wider than the screen, everything can be used."""

import json
import re
import shutil
import subprocess
from html import escape, unescape

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

QUIET = (  # the page and nothing else: no first-run work, no network
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--dump-dom",
    "--enable-logging=stderr",
)

WATCH = """<script>
window.seen = [];
addEventListener("error", (event) => seen.push(`error: ${event.message}`));
addEventListener("securitypolicyviolation", (event) => seen.push(`blocked: ${event.blockedURI}`));
for (const kind of ["error", "warn"]) console[kind] = (...words) => seen.push(words.join(" "));
</script>"""

# A browser's window is never narrower than 500 pixels; a frame in it is.
FRAME = """<!doctype html><html><head><meta charset="utf-8"></head><body style="margin: 0">
<iframe style="border: 0; width: {}px; height: 900px" srcdoc="{}"></iframe></body></html>"""

USE = """<script>
const wide = () => {
  const limit = document.documentElement.clientWidth;
  return document.documentElement.scrollWidth > limit ? document.documentElement.scrollWidth : 0;
};
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const found = { width: innerWidth, dark, wide: [wide()] };
document.querySelectorAll("tr.opens").forEach((row) => row.click());
found.unfolded = document.querySelectorAll("tr.unfolded .story").length;
found.wide.push(wide());
document.querySelectorAll("details").forEach((part) => { part.open = true; });
found.wide.push(wide());
document.querySelectorAll("figure.roc").forEach((figure) => {
  figure.querySelectorAll(".legend input").forEach((box) => { box.checked || box.click(); });
  const classes = figure.querySelectorAll(".classes input");
  found.classes = classes.length;
  classes[1].click();
  const slider = figure.querySelector("input[type=range]");
  slider.value = 500;
  slider.dispatchEvent(new Event("input"));
  found.title = figure.querySelector("h4").textContent;
  const cells = figure.querySelectorAll(".legend tbody td:nth-child(2)");
  found.legend = [...cells].map((cell) => cell.textContent);
  found.curves = figure.querySelectorAll(".plot .curve-line").length;
  found.bands = figure.querySelectorAll(".plot .band").length;
});
const link = document.querySelector("a.open");
link.focus();
link.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
found.closed = document.querySelectorAll("tr.unfolded").length;
found.wide.push(wide());
found.seen = seen;
parent.document.body.setAttribute("data-found", JSON.stringify(found));
</script>"""


def answered(command, folder):
    """Run a browser with a profile of its own; one that does not start at all is asked again."""
    for attempt in (1, 2):
        profile = f"--user-data-dir={folder / f'profile-{attempt}'}"
        try:
            return subprocess.run(
                [*command[:1], profile, *command[1:]], capture_output=True, text=True, timeout=90
            )
        except subprocess.TimeoutExpired:
            continue
    pytest.fail("the browser did not end twice, within 90 seconds each")


@pytest.fixture
def used(tmp_path):
    """Return what happens when a page is opened and used in a window of some width."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine (chromium, chromium-browser, google-chrome)")

    def use(text, width, *words):
        path = tmp_path / "framed.html"
        watched = text.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{USE}</body>")
        path.write_text(FRAME.format(width, escape(watched)), encoding="utf-8")
        command = [BROWSER, *QUIET, "--window-size=1400,1000", *words, path.as_uri()]
        done = answered(command, tmp_path)
        assert "CONSOLE" not in done.stderr, done.stderr
        (said,) = re.findall(r'data-found="([^"]*)"', done.stdout)
        return json.loads(unescape(said))

    return use


@pytest.mark.parametrize("words", [(), ("--force-dark-mode",)], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(page, written, predictions, phantoms, used, width, words):
    long = "a-method-with-a-rather-long-name[learning_rate=0.0001,pool=global,size=224]"
    for seed, method in enumerate(["toy", long, "<script>alert(1)</script>"]):
        written(predictions(seed, skill=1 + seed), method)
    evaluated, about = phantoms()
    written(evaluated, "drawn", dataset=about, heavy=True)
    text = page()
    found = used(text, width, *words)
    assert (found["width"], found["dark"]) == (width, bool(words))
    assert found["seen"] == []
    assert not any(found["wide"]), found["wide"]
    assert found["unfolded"] == 4
    assert found["closed"] == 3
    panel = json.loads(re.findall(r'json">(.*?)</script>', text, re.S)[-1])
    assert found["classes"] == len(panel["classes"])
    assert found["title"] == panel["classes"][1]
    assert found["legend"] == [(run["auroc"][1] or ["undefined"])[0] for run in panel["runs"]]
    shown = sum(run["curve"][1] is not None for run in panel["runs"])
    assert (found["curves"], found["bands"]) == (shown, shown)


def test_errors_of_a_page_are_seen(used):
    """Of a page that fails, the test above would fail."""
    text = "<html><head></head><body><figure class=roc></figure></body></html>"
    with pytest.raises(AssertionError, match="CONSOLE"):
        used(text, 1280)
