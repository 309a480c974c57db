package panel

import (
	"cmp"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/storage"
	"postern/web/ui"
)

var freezeRoutes = []route{
	{"GET /freezes", false, (*visit).freezes},
	{"POST /freezes", false, (*visit).freeze},
	{"POST /freezes/lift", false, (*visit).unfreeze},
}

// freezes lists what is stopped now.
func (v *visit) freezes() error {
	id := func(f *control.Freeze) uuid.UUID { return f.Freeze }
	all, next, err := paged(v, "/freezes", nil, id, func(p control.Page) iter.Seq2[control.Freeze, error] {
		return v.c.Freezes(v.r.Context(), control.FreezeQuery{Page: p})
	})
	if err != nil {
		return err
	}
	return v.page("Freezes", "/settings", "postern freeze list", freezesPage(v, all, next))
}

// freeze stops something now, from its own page or from that of the freezes, where its
// name is what is typed. Who stops more than that types which.
func (v *visit) freeze() error {
	q := control.FreezeChange{Kind: storage.FreezeKind(v.form("kind")), Name: v.form("name"), Reason: v.form("reason")}
	want := q.Name
	switch {
	case q.Kind == storage.FreezeOrganization || q.Kind == storage.FreezeAll:
		want = string(q.Kind)
	case want == "":
		q.Name = v.form("sure")
		want = q.Name
	}
	path, page := v.frozenPlace(q)
	if err := v.sure(want); err != nil {
		return v.again(err, page)
	}
	said, err := v.stop(q)
	if err != nil {
		return v.again(err, page)
	}
	return v.done(path, said)
}

// frozenPlace is where one sees what is frozen, or to be, and came from: the page of the
// thing itself, if its form says so, or that of all freezes.
func (v *visit) frozenPlace(q control.FreezeChange) (path string, page func(*visit) error) {
	if v.form("here") == "" {
		return "/freezes", (*visit).freezes
	}
	v.r.SetPathValue(string(q.Kind), q.Name)
	switch q.Kind {
	case storage.FreezeAgent:
		return agentPath(q.Name), (*visit).agent
	case storage.FreezeCredential:
		return credentialPath(q.Name), (*visit).credential
	case storage.FreezeDomain:
		return domainPath(q.Name), (*visit).domain
	}
	return "/freezes", (*visit).freezes
}

// stop freezes, and says what that ended.
func (v *visit) stop(q control.FreezeChange) (said string, err error) {
	done, err := v.c.Freeze(v.r.Context(), q)
	if err != nil {
		return "", err
	}
	what := title(frozenWhat(&control.Freeze{Kind: q.Kind, Name: q.Name}))
	if done.Sessions == 0 {
		return what + " is frozen. No session was open.", nil
	}
	return fmt.Sprintf("%s is frozen: %s ended after %d ms.", what, ui.Count(done.Sessions, "session"), done.Millis), nil
}

func (v *visit) unfreeze() error {
	q := control.FreezeChange{Kind: storage.FreezeKind(v.form("kind")), Name: v.form("name"), Reason: v.form("reason")}
	path, page := v.frozenPlace(q)
	if _, err := v.c.Unfreeze(v.r.Context(), q); err != nil {
		return v.again(err, page)
	}
	return v.done(path, "The freeze is lifted.")
}

// frozen are freezes that hold now.
type frozen []control.Freeze

// frozen are the freezes that stop any of some agents, credentials and domains.
func (v *visit) frozen(ids ...uuid.UUID) (frozen, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	all, err := collect(v.c.Freezes(v.r.Context(), control.FreezeQuery{Of: ids}))
	return all, err
}

// of is the freeze of one thing, nil if it has none of its own.
func (f frozen) of(kind storage.FreezeKind, name string) *control.Freeze {
	for i := range f {
		if f[i].Kind == kind && f[i].Name == name {
			return &f[i]
		}
	}
	return nil
}

// agent is what stops an agent: a freeze of its own, or one of all.
func (f frozen) agent(name string) *control.Freeze {
	return cmp.Or(f.of(storage.FreezeAgent, name), f.of(storage.FreezeOrganization, ""), f.of(storage.FreezeAll, ""))
}

// credential is what stops a credential: a freeze of its own, of its agent, or of all.
func (f frozen) credential(c *control.Credential) *control.Freeze {
	return cmp.Or(f.of(storage.FreezeCredential, c.PublicID), f.agent(c.Agent))
}

// domain is what stops a domain: a freeze of its own, or of all.
func (f frozen) domain(name string) *control.Freeze {
	return cmp.Or(f.of(storage.FreezeDomain, name), f.of(storage.FreezeOrganization, ""), f.of(storage.FreezeAll, ""))
}

// isFrozen is the state of what a freeze stops.
var isFrozen = ui.State{Class: "bad", Icon: "stop", Word: "Frozen"}

// frozenWhat names what a freeze holds.
func frozenWhat(f *control.Freeze) string {
	switch f.Kind {
	case storage.FreezeOrganization:
		return "the whole organization"
	case storage.FreezeAll:
		return "everything on this server"
	}
	return string(f.Kind) + " " + f.Name
}

// cuts says what a freeze of something would do now.
func cuts(kind storage.FreezeKind, sessions int) string {
	text := "Refuses new sessions, and holds its queued mail."
	if sessions > 0 {
		text = fmt.Sprintf("Cuts its %s within a second, refuses new ones, and holds its queued mail.", ui.Count(sessions, "open session"))
	} else if kind == storage.FreezeDomain {
		text = "Cuts the sessions on its inboxes within a second, refuses new ones, and holds their queued mail."
	}
	return text + " Mail keeps arriving. To undo it takes a person with a second factor."
}
