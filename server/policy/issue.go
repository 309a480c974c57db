package policy

import (
	"time"

	"postern/storage"
)

// MaxCredentialAge is how long a credential may live, and how long it does when
// nobody says otherwise. // AC-7
const MaxCredentialAge = 90 * 24 * time.Hour

// IssueFacts is what is known of a credential that is to be made.
type IssueFacts struct {
	Now     time.Time
	Expires time.Time
	Env     storage.Environment
	Scopes  []storage.Scope
	Inboxes []storage.InboxRecord // that the scopes name
}

// Issue decides whether a credential may be made: it ends, in time, it opens
// something, and what it opens is of its own environment. // AC-7, AC-14
func Issue(f IssueFacts) Decision {
	if !f.Expires.After(f.Now) || f.Expires.Sub(f.Now) > MaxCredentialAge {
		return refuse(CredentialAge)
	}
	if len(f.Scopes) == 0 {
		return refuse(CredentialScope)
	}
	for _, s := range f.Scopes {
		if s.Verbs == 0 {
			return refuse(CredentialScope)
		}
	}
	for _, in := range f.Inboxes {
		if in.Env != f.Env {
			return refuse(CredentialEnvironment)
		}
	}
	return allow
}
