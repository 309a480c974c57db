package servertest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Tab is a window of Chromium in which somebody looks at a panel. What they click,
// fill and press are events of a mouse and a keyboard, and what they read is what the
// page shows. At its end a test fails if the page wrote errors to the console, ran
// into its own policy, or asked anybody but the panel for anything.
type Tab struct {
	Origin string // of the panel

	t    testing.TB
	p    *Postern
	ctx  context.Context
	o    TabOptions
	from int // strays there were before

	mu       sync.Mutex
	pages    int // documents that were shown
	errors   []string
	requests []string // URLs
	forms    []SentForm
	cookies  map[network.RequestID]string // that were sent, as the header has them
}

// SentForm is a form as the browser sent it, for who would send it again.
type SentForm struct {
	Path, Body, Cookie string

	id network.RequestID
}

// TabOptions say who looks, and how.
type TabOptions struct {
	Session   string // of the person; empty: nobody is signed in
	NoScripts bool   // JavaScript is switched off
	Keyboard  bool   // Click and Fill do without a mouse
	Dark      bool   // the system's colours are dark
	Width     int    // in CSS pixels; 0: 1440
	Height    int    // 0: 900
	Zone      string // of time; empty: UTC
}

// glance is how long somebody looks for what a page is to show.
const glance = time.Minute

// OpenTab opens a tab at a panel, which it shows a new certificate of the world's
// authority. The test is skipped where there is no Chromium.
func OpenTab(t testing.TB, p *Postern, o TabOptions) *Tab {
	t.Helper()
	parent := startChromium(t)
	b := &Tab{Origin: introduce(t, p), t: t, p: p, o: o, cookies: map[network.RequestID]string{}}
	chromium.Lock()
	b.from = len(chromium.strays)
	chromium.Unlock()
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.heard))
	b.ctx = ctx
	refused := p.refused.Load()
	t.Cleanup(func() {
		cancel()
		if n := p.refused.Load() - refused; n > 0 {
			t.Errorf("a browser refused %d times what a page wanted", n)
		}
		b.quiet()
	})
	b.must(b.prepare())
	return b
}

// prepare sets the tab up.
func (b *Tab) prepare() error {
	zone := b.o.Zone
	if zone == "" {
		zone = "UTC"
	}
	err := b.look(b.o.Width, b.o.Dark)
	_, e1 := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
	_, e2 := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: b.o.NoScripts})
	// A page has the focus as if its window were in front, in every tab.
	_, e3 := chromedp.Call(b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	var e4 error
	if b.p.unnamed { // who opens it has compared the certificate, and goes on
		_, e4 = chromedp.Call(b.ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	}
	if err = errors.Join(err, e1, e2, e3, e4); err != nil || b.o.Session == "" {
		return err
	}
	return b.SignIn(b.o.Session)
}

// look sets how wide the window is, 1440 if it is not said, and which colours are asked for.
func (b *Tab) look(width int, dark bool) error {
	b.o.Width, b.o.Dark = cmp.Or(width, 1440), dark
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(b.o.Width), Height: int64(cmp.Or(b.o.Height, 900)), DeviceScaleFactor: 1})
	_, e1 := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	return errors.Join(err, e1)
}

// Look changes the width of the window, in CSS pixels, and the colours.
func (b *Tab) Look(width int, dark bool) {
	b.t.Helper()
	b.must(b.look(width, dark))
}

// Paper shows the page as it is printed.
func (b *Tab) Paper() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	b.must(err)
}

// SignIn puts the cookie of a session into the tab.
func (b *Tab) SignIn(session string) error {
	yes := true
	_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: "__Host-postern", Value: session, URL: b.Origin + "/",
		Path: "/", Secure: &yes, HTTPOnly: &yes, SameSite: network.CookieSameSiteLax})
	return err
}

// Cookie is the value of a cookie that the tab has for the panel.
func (b *Tab) Cookie(name string) string {
	b.t.Helper()
	have, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{b.Origin + "/"}})
	b.must(err)
	for _, c := range have.Cookies {
		if c.Name == name {
			return c.Value
		}
	}
	b.t.Fatalf("there is no cookie %s", name)
	return ""
}

// heard notes what the browser tells of the page.
func (b *Tab) heard(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			b.pages++
		}
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
		if e.Request.Method == http.MethodPost {
			b.forms = append(b.forms, sentForm(e))
		}
	case *network.EventRequestWillBeSentExtraInfo:
		// The browser tells of a request and of its cookies in either order, and calls
		// where a form leads by the name of the form.
		if _, led := b.cookies[e.RequestID]; !led {
			b.cookies[e.RequestID] = sentCookies(e)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 && e.Type != network.ResourceTypeDocument {
			b.errors = append(b.errors, fmt.Sprintf("%d for %s", e.Response.Status, e.Response.URL))
		}
	case *cdplog.EventEntryAdded:
		// Refused answers are judged above: that a page is refused is no error of it.
		if (e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning) && e.Entry.Source != cdplog.EntrySourceNetwork {
			b.errors = append(b.errors, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, fmt.Sprintf("exception: %s at %s:%d", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			said, _ := json.Marshal(e.Args)
			// htmx says so when a stream of events ends, as it does with its session.
			if !strings.Contains(string(said), `"[object Event]"`) {
				b.errors = append(b.errors, fmt.Sprintf("console: %s", said))
			}
		}
	}
}

// quiet fails the test if the page did what no page of ours does.
func (b *Tab) quiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errors {
		b.t.Errorf("the browser says: %s", e)
	}
	for _, u := range b.requests {
		if !strings.HasPrefix(u, b.Origin+"/") && !strings.HasPrefix(u, "data:") && u != "about:srcdoc" {
			b.t.Errorf("the page asked for %s", u)
		}
	}
	for _, s := range strays(b.from) {
		b.t.Errorf("the browser went astray: %s", s)
	}
}

// Requests are the URLs that were asked for.
func (b *Tab) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// sentForm is a form that the browser tells of.
func sentForm(e *network.EventRequestWillBeSent) SentForm {
	f := SentForm{id: e.RequestID}
	if u, err := url.Parse(e.Request.URL); err == nil {
		f.Path = u.RequestURI()
	}
	for _, part := range e.Request.PostDataEntries {
		f.Body += string(part.Bytes)
	}
	return f
}

// sentCookies are the cookies that the browser says it sent, as the header has them.
func sentCookies(e *network.EventRequestWillBeSentExtraInfo) string {
	var sent []string
	for _, c := range e.AssociatedCookies {
		if len(c.BlockedReasons) == 0 {
			sent = append(sent, c.Cookie.Name+"="+c.Cookie.Value)
		}
	}
	return strings.Join(sent, "; ")
}

// LastForm is the form that was sent last.
func (b *Tab) LastForm() SentForm {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.forms) == 0 {
		b.t.Fatal("no form was sent")
	}
	f := b.forms[len(b.forms)-1]
	f.Cookie = b.cookies[f.id]
	return f
}

func (b *Tab) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.shown())
	}
}

// shown is what the page shows, for who reads why a test failed. With TAB_SHOTS set
// to a folder, a picture of it lies there.
func (b *Tab) shown() string {
	var here struct{ URL, Text string }
	if err := b.eval(`({URL: location.href, Text: document.body ? document.body.innerText : ""})`, &here); err != nil {
		return "the page cannot be asked: " + err.Error()
	}
	if dir := os.Getenv("TAB_SHOTS"); dir != "" {
		b.Shot(filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "_")+".png"))
	}
	return here.URL + " shows: " + strings.Join(strings.Fields(here.Text), " ")
}

// eval has the page compute something.
func (b *Tab) eval(js string, to any) error {
	ctx, cancel := context.WithTimeout(b.ctx, glance)
	defer cancel()
	yes := true
	a, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: js, ReturnByValue: &yes, AwaitPromise: &yes})
	if err != nil {
		return err
	}
	if a.ExceptionDetails != nil {
		text := a.ExceptionDetails.Text
		if a.ExceptionDetails.Exception != nil {
			text += " " + a.ExceptionDetails.Exception.Description
		}
		return errors.New(text)
	}
	if to == nil || len(a.Result.Value) == 0 {
		return nil
	}
	return json.Unmarshal(a.Result.Value, to)
}

// Eval has the page compute something, which works without scripts, too.
func (b *Tab) Eval(js string, to any) {
	b.t.Helper()
	b.must(b.eval(js, to))
}

// until waits until the page says yes.
func (b *Tab) until(what, js string) {
	b.t.Helper()
	for deadline := time.Now().Add(glance); ; {
		yes := false
		err := b.eval(js, &yes)
		if err == nil && yes {
			return
		}
		// A page that is just being left cannot be asked.
		if time.Now().After(deadline) || b.ctx.Err() != nil {
			b.t.Fatalf("%s is not so (%v): %s", what, err, b.shown())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Until waits until an expression is true on the page.
func (b *Tab) Until(js string) { b.t.Helper(); b.until(js, "!!("+js+")") }

// Leads does something that leads to a new page, and waits until that is there.
func (b *Tab) Leads(act func()) {
	b.t.Helper()
	before := b.shownPages()
	act()
	for deadline := time.Now().Add(glance); b.shownPages() == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("it leads nowhere: %s", b.shown())
		}
	}
	b.until("that the page is there", `document.readyState === "complete"`)
}

func (b *Tab) shownPages() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pages
}

// Go opens a place of the panel, as one who types it.
func (b *Tab) Go(path string) {
	b.t.Helper()
	b.Leads(func() {
		b.t.Helper()
		a, err := chromedp.Call(b.ctx, page.Navigate, page.NavigateParams{URL: b.Origin + path})
		b.must(err)
		if a.ErrorText != "" {
			b.t.Fatalf("%s: %s", path, a.ErrorText)
		}
	})
}

// Back goes back in history.
func (b *Tab) Back() {
	b.t.Helper()
	b.Leads(func() {
		b.t.Helper()
		h, err := chromedp.Call(b.ctx, page.GetNavigationHistory, cdp.Empty{})
		b.must(err)
		if h.CurrentIndex == 0 {
			b.t.Fatal("there is no page before this one")
		}
		_, err = chromedp.Call(b.ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID})
		b.must(err)
	})
}

// History are the URLs where the tab was.
func (b *Tab) History() (urls []string) {
	b.t.Helper()
	h, err := chromedp.Call(b.ctx, page.GetNavigationHistory, cdp.Empty{})
	b.must(err)
	for _, e := range h.Entries {
		urls = append(urls, e.URL)
	}
	return urls
}

// Path is where the tab is.
func (b *Tab) Path() string {
	b.t.Helper()
	var at string
	b.Eval("location.href", &at)
	u, err := url.Parse(at)
	b.must(err)
	return u.RequestURI()
}

// words is the text that an element shows, in one line.
const words = `(el) => (el ? el.innerText : "").replace(/\s+/g, " ").trim()`

// See waits until the page shows all of the texts.
func (b *Tab) See(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.until(fmt.Sprintf("that the page shows %q", text), fmt.Sprintf(`(%s)(document.body).includes(%s)`, words, quote(text)))
	}
}

// NotSee fails the test if the page shows one of the texts now.
func (b *Tab) NotSee(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if shown := b.Text("body"); strings.Contains(shown, text) {
			b.t.Errorf("the page shows %q: %s", text, shown)
		}
	}
}

// Text is what the first element of a CSS selector shows.
func (b *Tab) Text(css string) (text string) {
	b.t.Helper()
	b.Eval(fmt.Sprintf(`(%s)(document.querySelector(%s))`, words, quote(css)), &text)
	return text
}

// quote is a text as JavaScript writes it.
func quote(text string) string {
	q, _ := json.Marshal(text)
	return string(q)
}

// find is a function of the page that finds what a person means: by a CSS selector,
// if it begins with one of #.[ ; else by the words on it, or of its label. What is not
// shown is not found.
const find = `(what) => {
  const seen = (el) => el.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true}) && (el.getClientRects().length > 0);
  const flat = (text) => (text || "").replace(/\s+/g, " ").trim();
  if (/^[#.\[]/.test(what)) return [...document.querySelectorAll(what)].find(seen);
  const aloud = (el) => { const c = el.cloneNode(true); c.querySelectorAll("[aria-hidden=true]").forEach((h) => h.remove()); return c.textContent; };
  const named = (el) => [el.getAttribute("aria-label"), aloud(el), el.innerText, el.value, el.title].map(flat);
  const acts = [...document.querySelectorAll("button, a[href], summary, input[type=submit], label")].filter(seen);
  const fields = [...document.querySelectorAll("input, select, textarea")].filter(seen);
  const of = (el) => [...(el.labels || [])].map((l) => flat(l.innerText)).concat(flat(el.getAttribute("aria-label")));
  return fields.find((el) => of(el).includes(what)) || acts.find((el) => named(el).includes(what)) ||
    fields.find((el) => of(el).some((n) => n.startsWith(what))) || acts.find((el) => named(el).some((n) => n.startsWith(what)));
}`

// Click clicks on something with the mouse: by the words on it or of its label, or by
// a CSS selector that begins with one of # . [. It must be in sight, and nothing may
// lie on it. Who has only a keyboard goes there with Tab, and presses Enter or Space.
func (b *Tab) Click(what string) {
	b.t.Helper()
	b.until(fmt.Sprintf("that %q can be clicked", what), fmt.Sprintf(`(() => {
  const el = (%s)(%s);
  return !!el && !el.disabled && document.readyState === "complete";
})()`, find, quote(what)))
	if b.o.Keyboard {
		b.TabTo(what)
		b.press()
		return
	}
	for range 20 {
		at := b.spot(what)
		b.mouse(input.DispatchMouseEventTypeMouseMoved, at)
		b.mouse(input.DispatchMouseEventTypeMousePressed, at)
		if b.pressed(what) {
			b.mouse(input.DispatchMouseEventTypeMouseReleased, b.spot(what)) // it may have moved since
			return
		}
		b.mouse(input.DispatchMouseEventTypeMouseReleased, point{1, 1}) // away from what lies there now
	}
	b.t.Fatalf("%q moves away from every click: %s", what, b.shown())
}

// point is a place in the window, in CSS pixels.
type point struct{ X, Y float64 }

// spot brings something into sight and is its middle, where nothing lies on it.
func (b *Tab) spot(what string) (at point) {
	b.t.Helper()
	b.Eval(fmt.Sprintf(`(() => {
  const what = (%s)(%s), el = what.matches(".vh") && what.labels && what.labels[0] || what;
  el.scrollIntoView({block: "center", behavior: "instant"});
  const box = el.getClientRects()[0];
  const x = box.left + box.width / 2, y = box.top + box.height / 2, hit = document.elementFromPoint(x, y);
  if (!hit || !(el.contains(hit) || hit.contains(el) || [...(el.labels || [])].some((l) => l.contains(hit)))) throw new Error("covered by " + (hit ? hit.outerHTML.slice(0, 200) : "nothing"));
  return {x, y};
})()`, find, quote(what)), &at)
	return at
}

// pressed reports whether the mouse went down on something. What is live on a page may
// have moved it away in that moment.
func (b *Tab) pressed(what string) (yes bool) {
	b.t.Helper()
	b.Eval(fmt.Sprintf(`(() => {
  const el = (%s)(%s);
  return !!el && [el, ...(el.labels || [])].some((e) => e.matches(":active") || e.querySelector(":active"));
})()`, find, quote(what)), &yes)
	return yes
}

func (b *Tab) mouse(kind input.DispatchMouseEventType, at point) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: at.X, Y: at.Y, Button: input.MouseButtonLeft, ClickCount: 1})
	b.must(err)
}

// Follow clicks on what leads to another page.
func (b *Tab) Follow(what string) {
	b.t.Helper()
	b.Leads(func() { b.t.Helper(); b.Click(what) })
}

// press presses what has the focus, with the key that does so.
func (b *Tab) press() {
	b.t.Helper()
	var box bool
	b.Eval(`document.activeElement.matches("[type=checkbox], [type=radio]")`, &box)
	if box {
		b.Press("Space")
	} else {
		b.Press("Enter")
	}
}

// Fill writes into a field in place of what is there.
func (b *Tab) Fill(what, text string) {
	b.t.Helper()
	if b.o.Keyboard {
		b.TabTo(what)
	} else {
		b.Click(what)
	}
	b.Eval(`document.activeElement.select && document.activeElement.select()`, nil)
	_, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text})
	b.must(err)
}

// Choose takes an option of a select by its words.
func (b *Tab) Choose(what, option string) {
	b.t.Helper()
	b.Eval(fmt.Sprintf(`(() => {
  const el = (%s)(%s), o = [...el.options].find((o) => o.text.trim() === %s);
  if (!o) throw new Error("no such option among " + [...el.options].map((o) => o.text).join(", "));
  el.value = o.value;
  el.dispatchEvent(new Event("change", {bubbles: true}));
})()`, find, quote(what), quote(option)), nil)
}

// keys are those without a letter.
var keys = map[string]rune{"Tab": '\t', "Enter": '\r', "Space": ' ', "Escape": []rune(kb.Escape)[0],
	"Down": []rune(kb.ArrowDown)[0], "Up": []rune(kb.ArrowUp)[0], "Left": []rune(kb.ArrowLeft)[0], "Right": []rune(kb.ArrowRight)[0]}

// Press presses keys, one after the other: "Tab", "Shift+Tab", "Enter", "Space",
// "Escape", "Down", "Up", "Left", "Right", or a letter.
func (b *Tab) Press(names ...string) {
	b.t.Helper()
	for _, name := range names {
		modifiers := int64(0)
		if rest, shift := strings.CutPrefix(name, "Shift+"); shift {
			name, modifiers = rest, int64(kb.ModifierShift)
		}
		r, ok := keys[name]
		if !ok {
			r = []rune(name)[0]
		}
		for _, k := range kb.Encode(r) {
			k.Modifiers |= modifiers
			_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, *k)
			b.must(err)
		}
	}
}

// Type types a text on the keyboard, into what has the focus.
func (b *Tab) Type(text string) {
	b.t.Helper()
	for _, r := range text {
		b.Press(string(r))
	}
}

// maxTabs is how often somebody presses Tab before they give up.
const maxTabs = 150

// TabTo presses Tab until something has the focus. Wherever the focus rests on the
// way it is visible, and not hidden under what stays in place (WCAG 2.4.7, 2.4.11).
func (b *Tab) TabTo(what string) {
	b.t.Helper()
	for range maxTabs {
		b.Press("Tab")
		var at struct {
			There, Group bool // Group: another one of the same radio buttons
			Hidden       string
		}
		b.Eval(fmt.Sprintf(`(() => {
  const el = document.activeElement;
  if (!el || el === document.body) return {There: false, Hidden: ""};
  const to = (%s)(%s);
  return {There: to === el, Group: !!to && to !== el && to.type === "radio" && to.name === el.name && to.form === el.form, Hidden: (%s)(el)};
})()`, find, quote(what), hiddenFocus), &at)
		if at.Hidden != "" {
			b.t.Errorf("%s: the focus is not to be seen: %s", b.Path(), at.Hidden)
		}
		if at.There {
			return
		}
		if at.Group {
			b.along(what)
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %q: %s", what, b.shown())
}

// along goes with the arrows to another radio button of a group.
func (b *Tab) along(what string) {
	b.t.Helper()
	for range maxTabs {
		b.Press("Down")
		var there bool
		b.Eval(fmt.Sprintf(`(%s)(%s) === document.activeElement`, find, quote(what)), &there)
		if there {
			return
		}
	}
	b.t.Fatalf("the arrows do not reach %q", what)
}

// hiddenFocus says why the focus on an element would not be seen, or nothing.
const hiddenFocus = `(el) => {
  const shown = el.matches(".vh, [type=radio].vh, .secret input") && el.labels && el.labels[0] ? el.labels[0] : el;
  const box = [...shown.getClientRects()].find((r) => r.width > 0 && r.height > 0);
  const name = el.outerHTML.slice(0, 160);
  if (!box) return "no box: " + name;
  const style = getComputedStyle(shown);
  if (!el.matches("iframe") && (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2)) return "no ring: " + name;
  const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 2), y = Math.min(Math.max(box.top + box.height / 2, 1), innerHeight - 2);
  const hit = document.elementFromPoint(x, y);
  if (hit && !shown.contains(hit) && !hit.contains(shown)) return "under " + hit.outerHTML.slice(0, 120) + ": " + name;
  return "";
}`

// FocusShows fails the test if something that the keyboard reaches would have the
// focus unseen: without a ring, or under what stays in place (WCAG 2.4.7, 2.4.11).
func (b *Tab) FocusShows() {
	b.t.Helper()
	b.Press("Tab") // from here on the focus is one of the keyboard
	var hidden []string
	b.Eval(fmt.Sprintf(`[...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex='0']")]
  .filter((el) => !el.disabled && el.checkVisibility({visibilityProperty: true}))
  .map((el) => { el.focus(); return document.activeElement === el ? (%s)(el) : ""; }).filter(Boolean)`, hiddenFocus), &hidden)
	for _, h := range hidden {
		b.t.Error(b.where() + "the focus is not to be seen: " + h)
	}
}

// Shot writes a picture of the whole page into a file.
func (b *Tab) Shot(file string) {
	b.t.Helper()
	var size struct{ W, H float64 }
	b.Eval(`({W: document.documentElement.clientWidth, H: document.documentElement.scrollHeight})`, &size)
	yes := true
	a, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &yes,
		Clip: &page.Viewport{Width: size.W, Height: size.H, Scale: 1}})
	b.must(err)
	b.must(os.WriteFile(file, a.Data, 0o644))
}

// Download does something that gives a file, and returns its path once it is whole.
func (b *Tab) Download(act func()) string {
	b.t.Helper()
	dir := b.t.TempDir()
	_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID})
	b.must(err)
	act()
	for deadline := time.Now().Add(glance); ; time.Sleep(10 * time.Millisecond) {
		files, err := os.ReadDir(dir)
		b.must(err)
		if len(files) == 1 && !strings.HasSuffix(files[0].Name(), ".crdownload") && !strings.HasPrefix(files[0].Name(), ".") {
			return filepath.Join(dir, files[0].Name())
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no file came (%v): %s", files, b.shown())
		}
	}
}
