package panel

import (
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/storage"
	"postern/web/ui"
)

var inboxRoutes = []route{
	{"GET /inboxes", false, (*visit).inboxes},
	{"GET /inboxes/new", false, (*visit).newInbox},
	{"POST /inboxes", false, (*visit).createInbox},
	{"GET /inboxes/{address}", false, (*visit).inbox},
	{"POST /inboxes/{address}/remove", false, (*visit).removeInbox},
}

// inboxes lists the addresses that receive mail.
func (v *visit) inboxes() error {
	q := control.InboxQuery{Match: strings.TrimSpace(v.r.FormValue("q"))}
	id := func(in *control.Inbox) uuid.UUID { return in.ID }
	all, next, err := paged(v, "/inboxes", url.Values{"q": {q.Match}}, id, func(p control.Page) iter.Seq2[control.Inbox, error] {
		q.Page = p
		return v.c.Inboxes(v.r.Context(), q)
	})
	if err != nil {
		return err
	}
	return v.page("Inboxes", "/inboxes", "postern inbox list", inboxesPage(v, all, q.Match, next))
}

func (v *visit) newInbox() error {
	if err := v.needs(directory.ActOperate); err != nil {
		return err
	}
	return v.page("New inbox", "/inboxes", "postern inbox create ADDRESS", newInboxPage(v))
}

func (v *visit) createInbox() error {
	in, err := v.c.CreateInbox(v.r.Context(), control.InboxCreate{Address: v.form("address"), Env: storage.Environment(v.form("env"))})
	if err != nil {
		return v.again(err, (*visit).newInbox)
	}
	return v.done(inboxPath(in.Address), in.Address+" receives mail now.")
}

// inbox shows one inbox, and which messages are in it: from whom, to whom, when, and how
// they were judged. That somebody looked is an event.
func (v *visit) inbox() error {
	in, err := v.c.Inbox(v.r.Context(), v.r.PathValue("address"))
	if err != nil {
		return err
	}
	q := control.MessageQuery{Inbox: in.Address, Mailbox: v.r.FormValue("box"), Match: strings.TrimSpace(v.r.FormValue("q"))}
	below, _ := strconv.ParseUint(v.r.FormValue("below"), 10, 32)
	q.Below = uint32(below)
	p, err := v.c.Messages(v.r.Context(), q)
	if err != nil && q.Match != "" {
		v.wrong = err
		p, err = v.c.Messages(v.r.Context(), control.MessageQuery{Inbox: in.Address, Mailbox: q.Mailbox})
	}
	if err != nil {
		return err
	}
	command := "postern message list " + in.Address
	if p.Mailbox != "INBOX" {
		command += " --mailbox '" + p.Mailbox + "'"
	}
	if q.Match != "" {
		command += " --match '" + q.Match + "'"
	}
	return v.page(in.Address, "/inboxes", command, inboxPage(v, in, p, q.Match))
}

func (v *visit) removeInbox() error {
	address := v.r.PathValue("address")
	if err := v.sure(address); err != nil {
		return v.again(err, (*visit).inbox)
	}
	done, err := v.c.RemoveInbox(v.r.Context(), control.InboxRemove{Address: address, Reason: v.form("reason"), Force: v.form("force") != ""})
	if err != nil {
		return v.again(err, (*visit).inbox)
	}
	return v.done("/inboxes", fmt.Sprintf("%s is removed and its key destroyed; %s ended.", address, ui.Count(done.Sessions, "session")))
}

func inboxPath(address string) string { return "/inboxes/" + url.PathEscape(address) }
