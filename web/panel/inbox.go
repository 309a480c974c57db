package panel

import (
	"fmt"
	"net/url"

	"postern/server/control"
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
	all, err := collect(v.c.Inboxes(v.r.Context()))
	if err != nil {
		return err
	}
	return v.page("Inboxes", "/inboxes", "postern inbox list", inboxesPage(v, all))
}

func (v *visit) newInbox() error {
	return v.page("New inbox", "/inboxes", "postern inbox create ADDRESS", newInboxPage(v))
}

func (v *visit) createInbox() error {
	in, err := v.c.CreateInbox(v.r.Context(), control.InboxCreate{Address: v.form("address"), Env: storage.Environment(v.form("env"))})
	if err != nil {
		return v.again(err, (*visit).newInbox)
	}
	return v.done(inboxPath(in.Address), in.Address+" receives mail now.")
}

func (v *visit) inbox() error {
	in, err := v.c.Inbox(v.r.Context(), v.r.PathValue("address"))
	if err != nil {
		return err
	}
	return v.page(in.Address, "/inboxes", "postern inbox show "+in.Address, inboxPage(v, in))
}

func (v *visit) removeInbox() error {
	address := v.r.PathValue("address")
	if v.form("name") != address {
		return v.again(&control.Error{Code: control.Invalid, Message: fmt.Sprintf("Type %s to go on.", address)}, (*visit).inbox)
	}
	done, err := v.c.RemoveInbox(v.r.Context(), control.InboxRemove{Address: address, Reason: v.form("reason"), Force: v.form("force") != ""})
	if err != nil {
		return v.again(err, (*visit).inbox)
	}
	return v.done("/inboxes", fmt.Sprintf("%s is removed and its key destroyed; %s ended.", address, ui.Count(done.Sessions, "session")))
}

func inboxPath(address string) string { return "/inboxes/" + url.PathEscape(address) }
