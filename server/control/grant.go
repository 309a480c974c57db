package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"postern/server/directory"
	"postern/storage"
)

// Grant is what somebody may do on one inbox.
type Grant struct {
	Inbox  string `json:"inbox"`
	Verbs  string `json:"verbs"`            // "read,flag,send"
	Unused string `json:"unused,omitempty"` // those of the verbs that nobody who still comes has
}

// unusedAfter is when a grant may be one too many, as access reviews ask. // AC-16
const unusedAfter = 90 * 24 * time.Hour

// GrantsOf is what credentials allow together, inbox by inbox in the order of their
// addresses. Verbs that only credentials give which nobody used in the 90 days before now
// are marked; one that is younger had no time to be used.
func GrantsOf(credentials []Credential, now time.Time) []Grant {
	may, used := map[string]storage.Verbs{}, map[string]storage.Verbs{}
	for _, c := range credentials {
		for _, s := range c.Scopes {
			verbs, err := directory.ParseVerbs(s.Verbs)
			if err != nil {
				continue // a word that is none grants nothing
			}
			may[s.Inbox] |= verbs
			if now.Sub(c.Created) <= unusedAfter || now.Sub(c.LastUsed) <= unusedAfter {
				used[s.Inbox] |= verbs
			}
		}
	}
	all := make([]Grant, 0, len(may))
	for inbox, verbs := range may {
		g := Grant{Inbox: inbox, Verbs: directory.FormatVerbs(verbs)}
		if idle := verbs &^ used[inbox]; idle != 0 {
			g.Unused = directory.FormatVerbs(idle)
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b Grant) int { return strings.Compare(a.Inbox, b.Inbox) })
	return all
}

// AgentShown is an agent with what follows from all its credentials.
type AgentShown struct {
	Agent
	LastUsed time.Time `json:"last_used_at,omitzero"` // any of its credentials, or one that ended
	Open     int       `json:"sessions_open"`
	May      []Grant   `json:"may"` // by all credentials that work, together
	// Limits are those that what it sends by its newest credential is counted for: those of
	// the agent and above are the same for all.
	Limits []LimitState `json:"limits,omitempty"`
}

// shownAgent reads all credentials of an agent, and the terms of those that may work.
func (s *Server) shownAgent(ctx context.Context, by caller, a *storage.Agent) (AgentShown, error) {
	v := AgentShown{Agent: agentView(a), May: []Grant{}}
	all, err := s.Directory.Credentials(ctx, by.org, a.ID)
	if err != nil {
		return v, err
	}
	var working []Credential
	var newest *storage.Credential
	for i := range all {
		c := &all[i]
		v.Open += s.Directory.SessionsOf(c.ID)
		if c.LastUsed.After(v.LastUsed) {
			v.LastUsed = c.LastUsed
		}
		if !c.Revoked.IsZero() || !s.Now().Before(c.Expires) {
			continue // no need to ask for its terms
		}
		view, err := s.credentialView(ctx, by, c, a.Name)
		if err != nil {
			return v, err
		}
		if view.State == "active" {
			working, newest = append(working, view), c
		}
	}
	v.May = GrantsOf(working, s.Now())
	if newest != nil {
		v.Limits, err = s.limits(ctx, by, newest)
	}
	return v, err
}
