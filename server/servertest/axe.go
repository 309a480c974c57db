package servertest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
)

// axeVersion is the release of axe-core that .ci/run fetches.
const axeVersion = "4.14.1"

// axeSource is the text of axe-core, which judges whether a page is accessible.
func (b *Tab) axeSource() string {
	b.t.Helper()
	cache, _ := os.UserCacheDir()
	path := cmp.Or(os.Getenv("AXE"), filepath.Join(cache, "postern", "axe-core-"+axeVersion+".min.js"))
	text, err := os.ReadFile(path)
	if err != nil {
		unable(b.t, "axe-core is not there (.ci/run fetches it): "+err.Error())
	}
	return string(text)
}

// Accessible fails the test for everything on the page that axe-core finds serious or
// critical by the rules of WCAG 2.2 AA and its own good habits, in the colours that are asked for now.
func (b *Tab) Accessible() {
	b.t.Helper()
	const rules = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	source := b.axeSource()
	var loaded bool
	b.Eval(`typeof axe === "object"`, &loaded)
	if !loaded {
		b.Eval(source+"\n;0", nil)
	}
	var found []string
	b.Eval(`axe.run(document, {resultTypes: ["violations"], runOnly: `+rules+`}).then((a) => a.violations
  .filter((v) => v.impact === "serious" || v.impact === "critical")
  .flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target.join(" ") + " " + n.html.slice(0, 160) + " " + n.failureSummary.replace(/\s+/g, " "))))`, &found)
	for _, f := range found {
		b.t.Error(b.where() + f)
	}
}

// Fits fails the test if the page is wider than the window (WCAG 1.4.10), or has
// something to click on that is smaller than 24 by 24 pixels (2.5.8).
func (b *Tab) Fits() {
	b.t.Helper()
	var found []string
	b.Eval(fits, &found)
	for _, f := range found {
		b.t.Error(b.where() + f)
	}
}

func (b *Tab) where() string {
	b.t.Helper()
	return fmt.Sprintf("%s at %d pixels: ", b.Path(), b.o.Width)
}

// fits lists what sticks out of the window and what is too small to click. What
// scrolls by itself may be wide; a link in a line of text, or with room around it
// so that a circle of 24 pixels about its middle touches no other, may be small.
const fits = `(() => {
  scrollTo(0, 0); // nothing lies under the bar
  const found = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) {
    const out = [...document.querySelectorAll("main *, header *")].filter((el) => el.checkVisibility() && el.getBoundingClientRect().right > wide + 1 && !el.closest(".scroll, pre, .vh"));
    found.push("the page is " + document.documentElement.scrollWidth + " pixels wide: " + (out[0] ? out[0].outerHTML.slice(0, 200) : ""));
  }
  const targets = [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea")]
    .filter((el) => el.checkVisibility({visibilityProperty: true}) && !el.closest(".vh") && !el.matches(".vh, .skip"))
    .map((el) => ({el, box: (el.labels && el.matches("[type=radio], [type=checkbox]") && el.labels[0] || el).getBoundingClientRect()}))
    .filter((a) => a.box.width > 0);
  const middle = (r) => [r.left + r.width / 2, r.top + r.height / 2];
  for (const a of targets) {
    if (a.box.width >= 23.5 && a.box.height >= 23.5) continue;
    const inline = getComputedStyle(a.el).display === "inline" && a.el.parentElement && [...a.el.parentElement.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (inline) continue;
    const [x, y] = middle(a.box);
    const near = targets.find((o) => {
      if (o.el === a.el || o.el.contains(a.el) || a.el.contains(o.el)) return false;
      const dx = Math.max(o.box.left - x, 0, x - o.box.right), dy = Math.max(o.box.top - y, 0, y - o.box.bottom);
      return Math.hypot(dx, dy) < 12;
    });
    if (near) found.push("too small at " + Math.round(a.box.width) + "x" + Math.round(a.box.height) + ": " + a.el.outerHTML.slice(0, 160) + " beside " + near.el.outerHTML.slice(0, 120));
  }
  return found;
})()`
