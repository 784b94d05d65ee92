"""The page in a real browser: no error, nothing wider than the screen, everything can be used."""

import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

WATCH = """<script>
window.seen = [];
addEventListener("error", (event) => seen.push(`error: ${event.message}`));
addEventListener("securitypolicyviolation", (event) => seen.push(`blocked: ${event.blockedURI}`));
for (const kind of ["error", "warn"]) console[kind] = (...words) => seen.push(words.join(" "));
</script>"""

USE = """<script>
const wide = () => {
  const limit = document.documentElement.clientWidth;
  return document.documentElement.scrollWidth > limit ? document.documentElement.scrollWidth : 0;
};
const found = { width: innerWidth, wide: [wide()] };
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
  found.legend = [...figure.querySelectorAll(".legend tbody td:nth-child(2)")].map((td) => td.textContent);
  found.curves = figure.querySelectorAll(".plot .curve-line").length;
  found.bands = figure.querySelectorAll(".plot .band").length;
});
const link = document.querySelector("a.open");
link.focus();
link.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
found.closed = document.querySelectorAll("tr.unfolded").length;
found.wide.push(wide());
found.seen = seen;
document.body.setAttribute("data-found", JSON.stringify(found));
</script>"""


@pytest.fixture
def used(tmp_path):
    """Return what happens when a page is opened and used in a window of some width."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine (chromium, chromium-browser, google-chrome)")

    def use(text, width, *words):
        path = tmp_path / "watched.html"
        watched = text.replace("<head>", f"<head>{WATCH}", 1)
        path.write_text(watched.replace("</body>", f"{USE}</body>"), encoding="utf-8")
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
             "--hide-scrollbars", "--enable-logging=stderr", *words, path.as_uri()],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert "CONSOLE" not in done.stderr, done.stderr
        (said,) = re.findall(r'data-found="([^"]*)"', done.stdout)
        return json.loads(said.replace("&quot;", '"').replace("&amp;", "&"))

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
    assert found["width"] == width
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
    with pytest.raises(ValueError, match="not enough values to unpack"):
        used(text, 1280)
