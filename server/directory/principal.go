package directory

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Principal is who a session acts as: an agent by one of its credentials, on the
// one inbox that its login name picked. A session holds this and never the
// store's other inboxes (invariant 14).
type Principal struct {
	Session    uuid.UUID
	Agent      storage.Agent
	Credential storage.Credential
	Inbox      *storage.Inbox
	Remote     netip.Addr
	Door       string
	Since      time.Time

	terms atomic.Pointer[Terms] // of now; nil: the defaults

	// Count is how many messages the session read or sent; its door counts, and
	// the event of its end says it.
	Count atomic.Int64
}

// Actor is the principal as events name it.
func (p *Principal) Actor() audit.Actor {
	return audit.Actor{Kind: audit.Agent, ID: p.Agent.ID, Credential: p.Credential.ID, Session: p.Session, Network: p.Remote}
}

// rules are the terms that hold for the session.
func (p *Principal) rules() Terms {
	if t := p.terms.Load(); t != nil {
		return *t
	}
	return defaultTerms
}

// May reports whether the credential allows all the verbs on the session's
// inbox. Absent means nothing. // AC-4
func (p *Principal) May(v storage.Verbs) bool { return p.Credential.May(p.Inbox.ID(), v) }
