package panel

import (
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/storage"
	"postern/web/ui"
)

var settingRoutes = []route{
	{"GET /settings", false, (*visit).settings},
	{"GET /people", false, (*visit).people},
	{"GET /people/new", false, (*visit).newPerson},
	{"POST /people", false, (*visit).createPerson},
	{"GET /people/{person}", false, (*visit).person},
	{"POST /people/{person}/{change}", false, (*visit).changePerson},
	{"POST /people/{person}/sessions/{session}/end", false, (*visit).endTheirSession},
	{"GET /policy", false, (*visit).policy},
	{"POST /policy", false, (*visit).setPolicy},
	{"GET /webhooks", false, (*visit).webhooks},
	{"POST /webhooks", false, (*visit).createWebhook},
	{"POST /webhooks/{webhook}/{change}", false, (*visit).changeWebhook},
	{"GET /captured", false, (*visit).captured},
}

// settings leads to what an installation is run by.
func (v *visit) settings() error {
	return v.page("Settings", "/settings", "postern policy show", settingsPage(v))
}

// people lists who has an account.
func (v *visit) people() error {
	id := func(p **control.Person) uuid.UUID { return (*p).ID }
	all, next, err := paged(v, "/people", nil, id, func(p control.Page) iter.Seq2[*control.Person, error] { return v.c.People(v.r.Context(), p) })
	if err != nil {
		return err
	}
	return v.page("People", "/settings", "postern admin list", peoplePage(v, all, next))
}

func (v *visit) newPerson() error {
	if err := v.needs(directory.ActPeople); err != nil {
		return err
	}
	return v.page("New person", "/settings", "postern admin create ADDRESS --role ROLE", newPersonPage(v))
}

// createPerson makes an account, and shows its second factor, this once.
func (v *visit) createPerson() error {
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	q := control.PersonCreate{Address: v.form("address"), Password: v.r.PostFormValue("password"), Roles: roles(v.r.PostForm["role"])}
	q.Invite = q.Password == ""
	made, err := v.c.CreatePerson(v.r.Context(), q)
	if err != nil {
		return v.again(err, (*visit).newPerson)
	}
	v.secret()
	if made.Invitation != nil {
		return v.page(made.Address, "/settings", "", invitedPage(v, *made.Invitation))
	}
	return v.page(made.Address, "/settings", "", enrolledPage(v, made))
}

func roles(words []string) (all []storage.PersonRole) {
	for _, w := range words {
		all = append(all, storage.PersonRole(w))
	}
	return all
}

// person shows one account with its sessions.
func (v *visit) person() error {
	p, err := v.c.Person(v.r.Context(), v.r.PathValue("person"))
	if err != nil {
		return err
	}
	sessions, err := collect(v.c.PersonSessions(v.r.Context(), p.Address))
	if err != nil {
		return err
	}
	return v.page(p.Address, "/settings", "postern admin show "+p.Address, personPage(v, p, sessions))
}

// changePerson gives an account other roles, keeps it out, lets it in, or gives it a
// new second factor.
func (v *visit) changePerson() error {
	if err := v.r.ParseForm(); err != nil {
		return err
	}
	q := control.PersonChange{Person: v.r.PathValue("person"), Reason: v.form("reason"), Roles: roles(v.r.PostForm["role"])}
	ctx, said := v.r.Context(), ""
	var err error
	switch v.r.PathValue("change") {
	case "roles":
		said = "The roles hold now, in open sessions too."
		_, err = v.c.SetRoles(ctx, q)
	case "disable":
		said = "The account is disabled, and its sessions have ended."
		q.Roles = nil
		_, err = v.c.DisablePerson(ctx, q)
	case "enable":
		said = "The account works again."
		_, err = v.c.EnablePerson(ctx, q.Person)
	case "invite":
		in, err := v.c.Invite(ctx, q.Person)
		if err != nil {
			return v.again(err, (*visit).person)
		}
		v.secret()
		return v.page(in.Person, "/settings", "postern admin invite "+in.Person, invitedPage(v, in))
	case "factor":
		made, err := v.c.ResetFactor(ctx, q.Person)
		if err != nil {
			return v.again(err, (*visit).person)
		}
		v.secret()
		return v.page(made.Address, "/settings", "", enrolledPage(v, made))
	default:
		return nowhere(v)
	}
	if err != nil {
		return v.again(err, (*visit).person)
	}
	return v.done(personPath(q.Person), said)
}

func (v *visit) endTheirSession() error {
	person := v.r.PathValue("person")
	if err := v.c.RevokeSession(v.r.Context(), control.SessionRef{Person: person, Session: v.r.PathValue("session")}); err != nil {
		return v.again(err, (*visit).person)
	}
	return v.done(personPath(person), "The session has ended.")
}

func personPath(address string) string { return "/people/" + url.PathEscape(address) }

// ruleRow is a setting of policy, as it counts at a scope.
type ruleRow struct {
	value control.PolicyValue
	key   control.PolicyKey
}

// policyGroups are the subjects of settings, by how their keys begin; the first counts.
var policyGroups = []struct{ begins, group string }{
	{"recipients-per-", "How much agents send"}, {"messages-", "How much agents send"}, {"first-time-", "How much agents send"}, {"message-", "How much agents send"},
	{"sessions", "Sessions and credentials"}, {"session-length", "Sessions and credentials"}, {"credential-", "Sessions and credentials"},
	{"recipients-", "To whom agents write"}, {"replies-", "To whom agents write"}, {"inside-", "To whom agents write"},
	{"hold-", "What waits for people"}, {"provenance-", "What messages declare"}, {"alert-", "Alerts"}, {"injection-", "Mail that may steer its reader"}, {"quarantine-", "Mail that may steer its reader"},
	{"break-glass-", "What people may read"}, {"list-", "What people may read"},
	{"second-factor", "People"}, {"session-", "People"}, {"person-", "People"}, {"proof-", "People"},
	{"", "Domains and other servers"},
}

// policyGroup is the subject of a setting.
func policyGroup(key string) string {
	for _, g := range policyGroups {
		if strings.HasPrefix(key, g.begins) {
			return g.group
		}
	}
	return ""
}

// policy shows what counts for a scope: where each value is set, and what it means.
func (v *visit) policy() error {
	scope := v.r.FormValue("scope")
	if scope == "" {
		scope = "org"
	}
	values, err := collect(v.c.Policy(v.r.Context(), scope))
	if err != nil {
		return err
	}
	keys, err := collect(v.c.PolicyKeys(v.r.Context()))
	if err != nil {
		return err
	}
	var rows []ruleRow
	for _, k := range keys {
		row := ruleRow{key: k, value: control.PolicyValue{Key: k.Key, Value: k.Default, From: "default"}}
		if i := slices.IndexFunc(values, func(p control.PolicyValue) bool { return p.Key == k.Key }); i >= 0 {
			row.value = values[i]
		}
		rows = append(rows, row)
	}
	return v.page("Policy", "/settings", "postern policy show "+scope, policyPage(v, scope, rows))
}

func (v *visit) setPolicy() error {
	q := control.PolicyChange{Scope: v.form("scope"), Key: v.form("key"), Value: v.form("value")}
	change := v.c.SetPolicy
	if v.form("unset") != "" {
		change, q.Value = v.c.UnsetPolicy, ""
	}
	done, err := change(v.r.Context(), q)
	if err != nil {
		return v.again(err, (*visit).policy)
	}
	said := q.Key + " is " + done.State + "."
	if done.State == "waiting" {
		said = "Noted: " + ui.Number(done.Have) + " of " + ui.Number(done.Need) + " people agree."
	}
	return v.done("/policy?scope="+url.QueryEscape(q.Scope), said)
}

// webhooks lists the programs elsewhere that are told of alerts.
func (v *visit) webhooks() error {
	return v.listWebhooks(nil)
}

// listWebhooks is their page, with the secret of one that was just made.
func (v *visit) listWebhooks(made *control.Webhook) error {
	id := func(w *control.Webhook) uuid.UUID { return w.ID }
	all, next, err := paged(v, "/webhooks", nil, id, func(p control.Page) iter.Seq2[control.Webhook, error] { return v.c.Webhooks(v.r.Context(), p) })
	if err != nil {
		return err
	}
	return v.page("Webhooks", "/settings", "postern webhook list", webhooksPage(v, all, next, made))
}

// createWebhook makes one, and shows its secret, this once.
func (v *visit) createWebhook() error {
	made, err := v.c.CreateWebhook(v.r.Context(), control.NewWebhook{URL: v.form("url")})
	if err != nil {
		return v.again(err, (*visit).webhooks)
	}
	return v.shownWebhook(made)
}

func (v *visit) shownWebhook(made control.Webhook) error {
	v.secret()
	return v.listWebhooks(&made)
}

func (v *visit) changeWebhook() error {
	id, ctx := v.r.PathValue("webhook"), v.r.Context()
	switch v.r.PathValue("change") {
	case "remove":
		if err := v.c.RemoveWebhook(ctx, id); err != nil {
			return v.again(err, (*visit).webhooks)
		}
		return v.done("/webhooks", "The webhook is removed.")
	case "enable":
		if _, err := v.c.EnableWebhook(ctx, id); err != nil {
			return v.again(err, (*visit).webhooks)
		}
		return v.done("/webhooks", "The webhook is told again.")
	case "rotate":
		made, err := v.c.RotateWebhook(ctx, control.WebhookRef{ID: id, Overlap: int64(24 * time.Hour / time.Second)})
		if err != nil {
			return v.again(err, (*visit).webhooks)
		}
		return v.shownWebhook(made)
	case "test":
		t, err := v.c.TestWebhook(ctx, id)
		if err != nil {
			return v.again(err, (*visit).webhooks)
		}
		if !t.OK {
			return v.again(&control.Error{Code: control.State, Message: "It did not take the test: " + t.Rule + "."}, (*visit).webhooks)
		}
		return v.done("/webhooks", "It took the test in "+ui.Span(time.Duration(t.Millis)*time.Millisecond)+".")
	}
	return nowhere(v)
}

// captured lists what test credentials sent.
func (v *visit) captured() error {
	id := func(c *control.Captured) uuid.UUID { return c.ID }
	all, next, err := paged(v, "/captured", nil, id, func(p control.Page) iter.Seq2[control.Captured, error] { return v.c.Captures(v.r.Context(), p) })
	if err != nil {
		return err
	}
	return v.page("Captured", "/settings", "postern message captured list", capturedPage(v, all, next))
}

// roleList are roles as words.
func roleList(all []storage.PersonRole) string {
	var words []string
	for _, r := range all {
		words = append(words, title(string(r)))
	}
	return strings.Join(words, ", ")
}

// roleHelp says what each role is for.
var roleHelp = map[storage.PersonRole]string{
	storage.PersonAdmin: "Everything.", storage.PersonOperator: "Runs the installation; sees no content and releases nothing.",
	storage.PersonReviewer: "Decides about what waits, and sees its content.", storage.PersonAuditor: "Sees the evidence, never content.",
}

// allRoles are those that a person may have.
var allRoles = directory.Roles()
