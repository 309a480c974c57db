package control

import (
	"slices"
	"testing"
	"time"
)

// TestAC16_GrantedNotUsed holds when a grant is marked as one too many: only credentials give it that are older than 90
// days and were not used in 90 days, to the moment.
func TestAC16_GrantedNotUsed(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	const days = 90 * 24 * time.Hour
	cred := func(verbs string, created, used time.Duration) Credential {
		c := Credential{Created: now.Add(-created), Scopes: []Scope{{"a@example.com", verbs}}}
		if used >= 0 {
			c.LastUsed = now.Add(-used)
		}
		return c
	}
	for _, c := range []struct {
		name string
		all  []Credential
		want []Grant
	}{
		{"nothing", nil, []Grant{}},
		{"new and never used", []Credential{cred("read,send", days, -1)}, []Grant{{"a@example.com", "read,send", ""}}},
		{"older and never used", []Credential{cred("read,send", days+1, -1)}, []Grant{{"a@example.com", "read,send", "read,send"}}},
		{"used 90 days ago", []Credential{cred("read", 2*days, days)}, []Grant{{"a@example.com", "read", ""}}},
		{"used before that", []Credential{cred("read", 2*days, days+1)}, []Grant{{"a@example.com", "read", "read"}}},
		{"another one is used", []Credential{cred("read,send", 2*days, -1), cred("flag,read", 2*days, time.Hour)}, []Grant{{"a@example.com", "read,flag,send", "send"}}},
		{"another one is new", []Credential{cred("send", 2*days, -1), cred("send", time.Hour, -1)}, []Grant{{"a@example.com", "send", ""}}},
		{"inboxes in order", []Credential{{Created: now, Scopes: []Scope{{"b@example.com", "read"}, {"a@example.com", "send"}}}},
			[]Grant{{"a@example.com", "send", ""}, {"b@example.com", "read", ""}}},
	} {
		if got := GrantsOf(c.all, now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestAgentShown holds that what an agent may do follows from its credentials that work, and from no other.
func TestAgentShown(t *testing.T) {
	w := newWorld(t)
	w.staff()
	_, err := w.CreateInbox(t.Context(), InboxCreate{Address: "box@example.com"})
	w.must(err)
	other, err := w.CreateCredential(t.Context(), CredentialCreate{Agent: "scout", Scopes: []Scope{{"box@example.com", "append"}}})
	w.must(err)
	a, err := w.Agent(t.Context(), "scout")
	w.must(err)
	if len(a.May) != 2 || a.May[0].Verbs != "append" || a.May[0].Unused != "" || len(a.Limits) != 0 {
		t.Errorf("%+v", a) // what only appends is counted for no limit
	}
	_, err = w.RevokeCredential(t.Context(), CredentialRevoke{Credential: other.PublicID, Reason: "done"})
	w.must(err)
	a, err = w.Agent(t.Context(), "scout")
	w.must(err)
	if len(a.May) != 1 || a.May[0].Inbox != "scout@example.com" || len(a.Limits) == 0 {
		t.Errorf("after a revocation %+v", a)
	}
	w.advance(91 * 24 * time.Hour)
	if a, err = w.Agent(t.Context(), "scout"); err != nil || len(a.May) != 0 {
		t.Errorf("after the end of all %+v, %v", a, err)
	}
}
