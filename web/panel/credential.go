package panel

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/storage"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var credentialRoutes = []route{
	{"GET /agents/{agent}/credentials/new", false, (*visit).newCredential},
	{"POST /agents/{agent}/credentials", false, (*visit).createCredential},
	{"GET /credentials/{credential}", false, (*visit).credential},
	{"POST /credentials/{credential}/rotate", false, (*visit).rotateCredential},
	{"POST /credentials/{credential}/revoke", false, (*visit).revokeCredential},
}

// verbs of a scope, as columns of the matrix.
var verbs = []string{"read", "flag", "append", "delete", "send"}

// newCredential asks what a credential is to be for. Without a script the form itself
// looks for more inboxes: what is filled in and ticked so far comes along.
func (v *visit) newCredential() error {
	if err := v.needs(directory.ActOperate); err != nil {
		return err
	}
	if err := v.r.ParseForm(); err != nil {
		return errForm
	}
	if site := v.r.Header.Get("Sec-Fetch-Site"); v.r.Method == http.MethodGet && site != "" && site != "same-origin" {
		v.r.Form = url.Values{} // a link from elsewhere ticks nothing
	}
	a, err := v.c.Agent(v.r.Context(), v.r.PathValue("agent"))
	if err != nil {
		return err
	}
	c, err := v.inboxChoice()
	if err != nil {
		return err
	}
	return v.page("New credential", "/agents", "postern credential create "+a.Name+" --scope read,send:INBOX --expires 90d", newCredentialPage(v, a.Agent, c))
}

// choice are inboxes to tick verbs for: those that are ticked already, and some of those
// that have Match in their address.
type choice struct {
	match  string
	ticked []string
	some   []control.Inbox
	next   uuid.UUID // zero: there are no more
	first  bool      // nothing was looked for and nothing passed over
}

// choiceRows is how many inboxes a form shows at once, besides those that are ticked.
const choiceRows = 25

func (v *visit) inboxChoice() (c choice, err error) {
	after, _ := uuid.Parse(v.r.FormValue("after"))
	c.match, c.ticked = strings.TrimSpace(v.r.FormValue("q")), v.ticked()
	if v.r.FormValue("look") != "" {
		after = uuid.Nil // other words begin anew
	}
	c.first = c.match == "" && after == uuid.Nil
	all, err := collect(v.c.Inboxes(v.r.Context(), control.InboxQuery{Match: c.match, Page: control.Page{After: after, Limit: choiceRows + 1}}))
	if len(all) > choiceRows {
		all = all[:choiceRows]
		c.next = all[choiceRows-1].ID
	}
	c.some = slices.DeleteFunc(all, func(in control.Inbox) bool { return slices.Contains(c.ticked, in.Address) })
	return c, err
}

// ticked are the inboxes of which a form says something, in the order of their addresses.
func (v *visit) ticked() (all []string) {
	for name, values := range v.r.Form {
		if inbox, ok := strings.CutPrefix(name, "scope:"); ok && len(values) > 0 && inbox != "" {
			all = append(all, inbox)
		}
	}
	slices.Sort(all)
	return all
}

// errForm refuses what is no form.
var errForm = &control.Error{Code: control.Invalid, Message: "The form is too long, or damaged."}

// createCredential makes a credential and shows its secret, this once: the answer to
// the form is the only place where it stands.
func (v *visit) createCredential() error {
	q, err := v.credentialForm()
	if err != nil {
		return v.again(err, (*visit).newCredential)
	}
	made, err := v.c.CreateCredential(v.r.Context(), q)
	if err != nil {
		return v.again(err, (*visit).newCredential)
	}
	return v.issued(made)
}

func (v *visit) issued(made control.Issued) error {
	v.secret()
	return v.page("Credential "+made.PublicID+" is ready", "/agents", "postern credential show "+made.PublicID, issuedPage(v, made))
}

// credentialForm reads what a person filled in.
func (v *visit) credentialForm() (q control.CredentialCreate, err error) {
	if err := v.r.ParseForm(); err != nil {
		return q, errForm
	}
	q.Agent, q.Env, q.Waiver = v.r.PathValue("agent"), storage.Environment(v.form("env")), v.form("waiver")
	for _, inbox := range v.ticked() {
		var chosen []string
		for _, verb := range verbs {
			if slices.Contains(v.r.PostForm["scope:"+inbox], verb) {
				chosen = append(chosen, verb)
			}
		}
		if len(chosen) > 0 {
			q.Scopes = append(q.Scopes, control.Scope{Inbox: inbox, Verbs: strings.Join(chosen, ",")})
		}
	}
	for _, text := range strings.FieldsFunc(v.form("networks"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' }) {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return q, &control.Error{Code: control.Invalid, Message: text + " is no network, such as 192.0.2.0/24."}
		}
		q.Networks = append(q.Networks, network)
	}
	q.Seconds, err = days(v.form("days"))
	return q, err
}

// days reads a number of days, as seconds; empty is zero.
func days(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, &control.Error{Code: control.Invalid, Message: text + " is no number of days."}
	}
	return n * 24 * 3600, nil
}

// credential shows one credential: what it may, how far it is in use, and what
// replaces it.
func (v *visit) credential() error {
	c, err := v.c.Credential(v.r.Context(), v.r.PathValue("credential"))
	if err != nil {
		return err
	}
	stopped, err := v.frozen(c.ID, c.AgentID)
	if err != nil {
		return err
	}
	return v.page("Credential "+c.PublicID, "/agents", "postern credential show "+c.PublicID, credentialPage(v, c, stopped))
}

func (v *visit) rotateCredential() error {
	hours, err := strconv.ParseInt(v.form("hours"), 10, 32)
	if err != nil || hours < 0 {
		return v.again(&control.Error{Code: control.Invalid, Message: "For how many hours shall both work?"}, (*visit).credential)
	}
	made, err := v.c.RotateCredential(v.r.Context(), control.CredentialRotate{Credential: v.r.PathValue("credential"), Overlap: hours * 3600})
	if err != nil {
		return v.again(err, (*visit).credential)
	}
	return v.issued(made)
}

func (v *visit) revokeCredential() error {
	id := v.r.PathValue("credential")
	if err := v.sure(id); err != nil {
		return v.again(err, (*visit).credential)
	}
	done, err := v.c.RevokeCredential(v.r.Context(), control.CredentialRevoke{Credential: id, Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).credential)
	}
	said := id + " is revoked. No session was open."
	if done.Sessions > 0 {
		said = fmt.Sprintf("%s is revoked; %s ended.", id, ui.Count(done.Sessions, "session"))
	}
	return v.done(credentialPath(id), said)
}

func credentialPath(id string) string { return "/credentials/" + url.PathEscape(id) }

// credentialState is the state of a credential as a page shows it.
func credentialState(c *control.Credential, stopped frozen, now time.Time) ui.State {
	switch {
	case c.State == "active" && stopped.credential(c) != nil:
		return isFrozen
	case c.State == "active" && c.End().Sub(now) < 14*24*time.Hour:
		return ui.State{Class: "warn", Word: "Ends soon"}
	case c.State == "active":
		return ui.State{Class: "ok", Word: "Active"}
	case c.State == "revoked":
		return ui.State{Class: "bad", Word: "Revoked"}
	case c.State == "rotated":
		return ui.State{Class: "none", Word: "Retired"}
	}
	return ui.State{Class: "none", Word: "Expired"}
}

// has reports whether a verb is in a list such as "read,flag,send".
func has(list, verb string) bool { return slices.Contains(strings.Split(list, ","), verb) }

// anyUnused reports whether the matrix needs to say what the mark means.
func anyUnused(may []control.Grant) bool {
	return slices.ContainsFunc(may, func(g control.Grant) bool { return g.Unused != "" })
}

// maskOf hides a secret behind dots of the same length.
func maskOf(secret string) string {
	const shown = len("pst_live_")
	if len(secret) < shown {
		return ""
	}
	return secret[:shown] + strings.Repeat("•", len(secret)-shown)
}

// endsSessions says what becomes of those who use a credential that is revoked.
func endsSessions(open int) string {
	if open == 0 {
		return "Lets nobody in again."
	}
	return "Ends " + ui.Count(open, "open session") + " within a second and lets nobody in again."
}

// limitWords are a limit in words: what it counts, and within which time.
func limitWords(key string) string {
	what, when, _ := strings.Cut(key, "-per-")
	word := map[string]string{"messages": "messages", "recipients": "recipients", "first-time": "first-time recipients"}[what]
	within := map[string]string{"minute": "this minute", "hour": "this hour", "day": "within 24 hours"}[when]
	if word == "" || within == "" {
		return title(strings.ReplaceAll(key, "-", " "))
	}
	return title(word) + " " + within
}

// lanesOf draws the uses of an old credential over those of its successor.
func lanesOf(c ui.Clock, r *control.Rotating) chart.Lanes {
	sum := func(uses []int64) (n int64) {
		for _, u := range uses {
			n += u
		}
		return n
	}
	hours := ui.Count(len(r.OldUses), "hour")
	return chart.Lanes{
		Words: chart.Words{ID: "lanes", Title: "Uses by the hour",
			Desc: fmt.Sprintf("In %s the old one was used %s, its successor %s.", hours, ui.Count(sum(r.OldUses), "time"), ui.Count(sum(r.NewUses), "time"))},
		Axis: "Hour from", Steps: chart.Steps(r.From, time.Hour, len(r.OldUses), c.Zone), Last: "Now", Wide: 1120,
		Rows: []chart.Lane{
			{Series: chart.Series{Name: r.Old.PublicID, Noun: "use", Colour: chart.Usual, Values: r.OldUses}, Note: "old"},
			{Series: chart.Series{Name: r.New.PublicID, Noun: "use", Colour: chart.Subject, Values: r.NewUses}, Note: "successor"},
		},
		Marks: []chart.Mark{{Step: int(r.At.Sub(r.From) / time.Hour), Label: "Issued, " + r.At.In(c.Zone).Format("2 Jan 15:04")}},
	}
}

// retireHint says whether the old one of a pair can go.
func retireHint(c ui.Clock, r *control.Rotating) string {
	switch {
	case r.Old.Open > 0:
		return ui.Count(r.Old.Open, "session") + " open with it: ending it now cuts off who uses it."
	case r.Old.LastUsed.IsZero():
		return "It was never used."
	case !r.Safe(c.Now):
		return "Used " + c.Relative(r.Old.LastUsed) + ". Wait until nobody has used it for an hour, or cut off who does."
	}
	return "Not used for " + ui.Span(c.Now.Sub(r.Old.LastUsed)) + "."
}
