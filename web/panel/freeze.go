package panel

import (
	"fmt"

	"postern/server/control"
	"postern/storage"
	"postern/web/ui"
)

var freezeRoutes = []route{
	{"GET /freezes", false, (*visit).freezes},
	{"POST /agents/{agent}/freeze", false, (*visit).freezeAgent},
	{"POST /freezes", false, (*visit).freeze},
	{"POST /freezes/lift", false, (*visit).unfreeze},
}

// freezes lists what is stopped now.
func (v *visit) freezes() error {
	all, err := collect(v.c.Freezes(v.r.Context()))
	if err != nil {
		return err
	}
	return v.page("Freezes", "/settings", "postern freeze list", freezesPage(v, all))
}

// freezeAgent stops an agent now, from its own page.
func (v *visit) freezeAgent() error {
	name := v.r.PathValue("agent")
	if v.form("name") != name {
		return v.again(&control.Error{Code: control.Invalid, Message: fmt.Sprintf("Type %s to go on.", name)}, (*visit).agent)
	}
	said, err := v.stop(control.FreezeChange{Kind: storage.FreezeAgent, Name: name, Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).agent)
	}
	return v.done(agentPath(name), said)
}

// freeze stops anything now, everything included.
func (v *visit) freeze() error {
	q := control.FreezeChange{Kind: storage.FreezeKind(v.form("kind")), Name: v.form("name"), Reason: v.form("reason")}
	if v.form("sure") != string(q.Kind) {
		return v.again(&control.Error{Code: control.Invalid, Message: fmt.Sprintf("Type %s to go on.", q.Kind)}, (*visit).freezes)
	}
	said, err := v.stop(q)
	if err != nil {
		return v.again(err, (*visit).freezes)
	}
	return v.done("/freezes", said)
}

// stop freezes, and says what that ended.
func (v *visit) stop(q control.FreezeChange) (said string, err error) {
	done, err := v.c.Freeze(v.r.Context(), q)
	if err != nil {
		return "", err
	}
	what := q.Name
	if what == "" {
		what = string(q.Kind)
	}
	return fmt.Sprintf("%s is frozen: %s ended after %d ms.", title(what), ui.Count(done.Sessions, "session"), done.Millis), nil
}

func (v *visit) unfreeze() error {
	q := control.FreezeChange{Kind: storage.FreezeKind(v.form("kind")), Name: v.form("name"), Reason: v.form("reason")}
	if _, err := v.c.Unfreeze(v.r.Context(), q); err != nil {
		return v.again(err, (*visit).freezes)
	}
	return v.done("/freezes", "The freeze is lifted.")
}
