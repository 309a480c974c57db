package panel

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"postern/server/control"
	rules "postern/server/policy"
	"postern/server/rendition"
	"postern/web/ui"
)

var messageRoutes = []route{
	{"GET /inboxes/{address}/messages/{message}", false, (*visit).message},
	{"POST /inboxes/{address}/messages/{message}/open", false, (*visit).openGlass},
	{"GET /inboxes/{address}/messages/{message}/page", false, (*visit).messagePage},
	{"GET /inboxes/{address}/messages/{message}/part/{part}", false, (*visit).messagePart},
	{"GET /glass", false, (*visit).glasses},
	{"POST /glass/{glass}/agree", false, (*visit).agreeGlass},
	{"POST /glass/{glass}/end", false, (*visit).endGlass},
}

// letter is a message on a page: what is known of it, and what it says to who reads it.
type letter struct {
	control.MessageShown
	text *control.MessageText // nil: it is not open
	mine *control.Glass       // what lets the person read, or what they asked for
	page bool                 // shown as a mail program would
}

// message shows what is known of a message; and what it says, while the person may read
// it. Each sight is an event.
func (v *visit) message() error {
	id := v.messageID()
	m, err := v.c.Message(v.r.Context(), id)
	if err != nil {
		return err
	}
	l := letter{MessageShown: m, page: v.r.FormValue("as") == "page"}
	for _, g := range m.Grants {
		if g.By == v.who.Address && g.State != "ended" && l.mine == nil {
			l.mine = &g
		}
	}
	if l.mine != nil && l.mine.State == "open" && v.wrong == nil {
		t, err := v.c.Text(v.r.Context(), id)
		if err != nil {
			return err
		}
		l.text = &t
	}
	command := "postern message show " + m.Message.String() + " --inbox " + m.Inbox
	return v.page("Message", "/inboxes", command, messagePage(v, l))
}

func (v *visit) messageID() control.MessageID {
	return control.MessageID{ID: v.r.PathValue("message"), Inbox: v.r.PathValue("address")}
}

// openGlass lets the person read a message for a while, or asks another one to agree.
func (v *visit) openGlass() error {
	id := v.messageID()
	g, err := v.c.OpenGlass(v.r.Context(), control.GlassRequest{MessageID: id, Why: v.form("why"), Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).message)
	}
	said := "Open until " + g.Until.In(v.clock.Zone).Format("15:04") + ". " + ownersTold(g.Told)
	if g.State == "asked" {
		said = "Asked. Another person must agree."
	}
	return v.done(messagePath(id.Inbox, id.ID), said)
}

func ownersTold(n int) string {
	if n == 0 {
		return "No agent with an owner who can be written to has this inbox."
	}
	return ui.Count(n, "owner") + " of agents told."
}

// maxPageBytes bounds what one answer holds in memory: a page or a part.
const maxPageBytes = 40 << 20

// limited is a buffer that takes so much and no more.
type limited struct {
	bytes.Buffer
	left int
}

func (b *limited) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortBuffer
	}
	return b.Buffer.Write(p)
}

// messagePage answers with the page that a mail program would show, for a frame of our
// own page: under a policy of its own, in which it can do nothing.
func (v *visit) messagePage() error {
	b := limited{left: maxPageBytes}
	if err := v.c.Page(v.r.Context(), v.messageID(), &b); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", rendition.PagePolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, err := b.WriteTo(v.w)
	return err
}

// messagePart answers with a part of a message as a file, which no browser shows.
func (v *visit) messagePart() error {
	t, err := v.c.Text(v.r.Context(), v.messageID())
	if err != nil {
		return err
	}
	section := v.r.PathValue("part")
	i := slices.IndexFunc(t.Attachments, func(a control.Attachment) bool { return a.Part == section })
	if i < 0 {
		return &control.Error{Code: control.NotFound, Message: "The message has no such part."}
	}
	b := limited{left: maxPageBytes}
	if err := v.c.Part(v.r.Context(), control.PartRef{MessageID: v.messageID(), Part: section}, &b); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": rendition.FileName(t.Attachments[i].Name, section)}))
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	_, err = b.WriteTo(v.w)
	return err
}

// glasses lists who read what and why, the newest first.
func (v *visit) glasses() error {
	id := func(g *control.Glass) uuid.UUID { return g.ID }
	all, next, err := paged(v, "/glass", nil, id, func(p control.Page) iter.Seq2[control.Glass, error] {
		return v.c.Glasses(v.r.Context(), control.GlassQuery{Newest: true, Page: p})
	})
	if err != nil {
		return err
	}
	return v.page("Who read what", "/inboxes", "postern glass list --newest", glassesPage(v, all, next))
}

func (v *visit) agreeGlass() error {
	g, err := v.c.AgreeGlass(v.r.Context(), control.GlassRef{ID: v.r.PathValue("glass")})
	if err != nil {
		return v.again(err, (*visit).glasses)
	}
	return v.done("/glass", fmt.Sprintf("Agreed: %s may read the message until %s.", g.By, g.Until.In(v.clock.Zone).Format("15:04")))
}

func (v *visit) endGlass() error {
	g, err := v.c.EndGlass(v.r.Context(), control.GlassRef{ID: v.r.PathValue("glass"), Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).glasses)
	}
	if v.form("from") == "message" {
		return v.done(messagePath(g.Inbox, g.Message.String()), "Closed. The message can be read no more.")
	}
	return v.done("/glass", "Ended: "+g.By+" can read the message no more.")
}

func messagePath(inbox, id string) string {
	return inboxPath(inbox) + "/messages/" + url.PathEscape(id)
}

// glassState is where a grant stands.
func glassState(g *control.Glass) ui.State {
	switch g.State {
	case "open":
		return ui.State{Class: "bad", Icon: "eye", Word: "Open"}
	case "asked":
		return ui.State{Class: "wait", Word: "Asked"}
	}
	return ui.State{Class: "none", Word: "Ended"}
}

// whys are the reasons to choose from.
func whys() []string { return rules.GlassReasons() }

// attempts at a filter stay in the address of the page.
func pageQuery(box, match string, below uint32) string {
	q := url.Values{}
	if box != "" && !strings.EqualFold(box, "INBOX") {
		q.Set("box", box)
	}
	if match != "" {
		q.Set("q", match)
	}
	if below > 0 {
		q.Set("below", strconv.FormatUint(uint64(below), 10))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
