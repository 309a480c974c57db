package servertest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
)

// shownTime is a moment on a page: for programs, what a person reads, and what they see when they point at it.
type shownTime struct{ Exact, Text, Title string }

// TestBrowser_Times holds that times stand in the viewer's zone with UTC in their titles, and how long ago they are as long
// as that is under a day; without scripts, where nobody says which zone that is, in UTC.
func TestBrowser_Times(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]servertest.TabOptions{"Tokyo": {Zone: "Asia/Tokyo"}, "no-scripts": {Zone: "Asia/Tokyo", NoScripts: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := time.UTC
			if !o.NoScripts {
				var err error
				zone, err = time.LoadLocation("Asia/Tokyo")
				fatal(t, err)
			}
			p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
			b := visits(t, p, o, "Agents")
			created := func() (at shownTime, when time.Time) {
				t.Helper()
				b.Go("/agents/scout")
				b.Eval(`(() => { const t = document.querySelector("dl.kv time"); return {Exact: t.dateTime, Text: t.innerText, Title: t.title} })()`, &at)
				when, err := time.Parse(time.RFC3339Nano, at.Exact)
				fatal(t, err)
				if !strings.HasSuffix(at.Exact, "Z") || at.Title != when.UTC().Format("2 Jan 2006 15:04:05 UTC") {
					t.Errorf("the time of the agent is %+v", at)
				}
				return at, when
			}
			if at, _ := created(); !strings.HasSuffix(at.Text, " ago") && at.Text != "just now" {
				t.Errorf("what was made now was made %q", at.Text)
			}
			fatal(t, p.World.Advance(5*time.Hour))
			if at, _ := created(); at.Text != "5 hours ago" {
				t.Errorf("what was made five hours ago was made %q", at.Text)
			}
			fatal(t, p.World.Advance(43*time.Hour))
			signed, err := p.AddPerson(t.Context(), "ann@alpha.test", "admin")
			fatal(t, err)
			fatal(t, b.SignIn(signed.Session))
			if at, when := created(); at.Text != when.In(zone).Format("2 Jan 15:04") && at.Text != when.In(zone).Format("2 Jan 2006") { // around new year
				t.Errorf("what was made two days ago, at %s, was made %q", when, at.Text)
			}
		})
	}
}

// TestBrowser_TraceOnPaper holds that the trace of a message prints as evidence: its times in UTC whatever the viewer's zone,
// hashes and ids in whole, without what one clicks, black on white.
func TestBrowser_TraceOnPaper(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	a := p.Agents["scout"]
	deliver(t, p, a, []string{"From: ann@sender.test\r\nTo: " + a.Address + "\r\nSubject: question\r\nMessage-ID: <question@sender.test>\r\n\r\nHow many?\r\n"})
	c := imap(t, p, a)
	c.want("OK", "SELECT INBOX")
	c.want("OK", "FETCH 1 BODY[]")
	answer := "From: " + a.Address + "\r\nTo: ann@sender.test\r\nSubject: Re: question\r\nIn-Reply-To: <question@sender.test>\r\nMessage-ID: <answer@alpha.test>\r\n\r\nThree.\r\n"
	if r := submitter(t, p, "scout").submit(a.Address, "ann@sender.test", answer); r[0] != '2' {
		t.Fatal(r)
	}
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session, Zone: "Asia/Tokyo", Dark: true})
	b.Go("/me")
	b.Go("/trace?id=" + url.QueryEscape("<question@sender.test>"))
	b.See("Read by scout", "Then scout sent to ann@sender.test")
	b.Paper()
	b.Until(`getComputedStyle(document.querySelector(".rail")).display === "none"`)
	b.See("All times are UTC.")
	for what, js := range map[string]string{
		"times are UTC":                `[...document.querySelectorAll(".line time")].every((t) => getComputedStyle(t).fontSize === "0px" && getComputedStyle(t, "::after").content.includes("UTC"))`,
		"hashes are whole":             `[...document.querySelectorAll("[data-whole]")].every((h) => /^"[0-9a-f]{64}"$/.test(getComputedStyle(h, "::after").content)) && !!document.querySelector("[data-whole]")`,
		"links are spelled":            `[...document.querySelectorAll("a[data-spelled]")].some((a) => getComputedStyle(a, "::after").content.includes("@alpha.test>"))`,
		"it is black on white":         `getComputedStyle(document.documentElement).backgroundColor === "rgb(255, 255, 255)"`,
		"nothing is to be clicked":     `[...document.querySelectorAll(".btn, .cli, .bar")].every((el) => el.getClientRects().length === 0)`,
		"nothing is wider than a page": `document.documentElement.scrollWidth <= innerWidth`,
	} {
		var yes bool
		if b.Eval(js, &yes); !yes {
			t.Errorf("on paper it is not so that %s", what)
		}
	}
}
