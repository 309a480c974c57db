package directory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emersion/go-sasl"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// Attempt is a login as a door got it.
type Attempt struct {
	Login, Secret string
	Identity      string // that the client wants to act as; empty: the login
	Remote        netip.Addr
	Door          string // "submission", "submissions", "imap"
	TLS           string // version, as in "TLS1.3"
	Mechanism     string // SASL mechanism, or "LOGIN" for IMAP's command
}

// Authenticate lets an agent in. The login is in the log, flushed, when it
// returns. The error is an *AuthError of one of the classes in this package.
func (d *Directory) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	token, err := ParseToken(a.Secret)
	if err != nil {
		return nil, d.stranger(a, ErrCredentials, "token-form")
	}
	hash := d.store.HashToken(token.Secret())
	if d.throttle.full(a.Remote, d.now()) && !d.throttle.known(hash) {
		return nil, d.stranger(a, ErrTooManyFailures, "network-failures")
	}
	if err := d.loadFreezes(ctx); err != nil {
		return nil, unavailable(err)
	}
	cred, err := d.store.CredentialByHash(ctx, hash)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		d.throttle.failed(a.Remote, d.now())
		return nil, d.stranger(a, ErrCredentials, "token-unknown")
	case err != nil:
		return nil, unavailable(err)
	}
	p, err := d.admit(ctx, a, cred)
	var refused *AuthError
	if errors.As(err, &refused) {
		if refused.Class != ErrTooManySessions { // that one is right in all else
			d.throttle.failed(a.Remote, d.now())
			d.throttle.forget(hash)
		}
		return nil, d.refuse(ctx, a, cred, refused)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if err := d.login(ctx, a, p); err != nil {
		d.registry.leave(p.Session)
		return nil, unavailable(err)
	}
	d.throttle.learn(hash)
	d.pending.used.touch(cred.ID, p.Since)
	return p, nil
}

// admit holds a credential against the attempt. What it refuses is an
// *AuthError; any other error says that it could not find out. That the time of
// the credential is over is said last, to one who is right in all else.
func (d *Directory) admit(ctx context.Context, a Attempt, cred storage.Credential) (*Principal, error) {
	if !cred.Revoked.IsZero() {
		return nil, &AuthError{Class: ErrCredentials, Rule: "revoked"}
	}
	agent, err := d.store.Agent(ctx, cred.Org, cred.Agent)
	if err != nil {
		return nil, err
	}
	if agent.State != storage.AgentActive {
		return nil, &AuthError{Class: ErrCredentials, Rule: "agent-" + string(agent.State)}
	}
	if !inNetworks(cred.Networks, a.Remote) {
		return nil, &AuthError{Class: ErrCredentials, Rule: "network"} // AC-13
	}
	inbox, err := d.pick(ctx, a, cred, agent)
	if err != nil {
		return nil, err
	}
	if a.Identity != "" && a.Identity != a.Login { // RFC 4616, section 2: a session acts as whom it logs in as
		return nil, &AuthError{Class: ErrIdentity, Rule: "identity"}
	}
	terms, err := d.termsOn(ctx, cred.Org, inbox.Domain(), inbox.ID(), agent.ID, cred.ID)
	if err != nil {
		return nil, err
	}
	now := d.now()
	if over := terms.lapse(&cred, now); over != "" { // AC-7, AC-8
		return nil, &AuthError{Class: ErrExpired, Rule: over}
	}
	p := &Principal{
		Session: storage.NewID(), Agent: agent, Credential: cred, Inbox: inbox,
		Remote: a.Remote, Door: a.Door, Since: now,
	}
	p.terms.Store(&terms)
	if no := d.registry.enter(p, now); no != nil {
		return nil, no
	}
	return p, nil
}

func inNetworks(allowed []netip.Prefix, peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	for _, n := range allowed {
		if n.Contains(peer) {
			return true
		}
	}
	return len(allowed) == 0
}

// pick finds the inbox that a login names, among those that the credential
// opens and nowhere else: one that is not there and one that is forbidden are
// told apart neither in words nor in work. // AC-5
func (d *Directory) pick(ctx context.Context, a Attempt, cred storage.Credential, agent storage.Agent) (*storage.Inbox, error) {
	var wanted string
	login := a.Login
	if path, err := message.ParseAddress(login); err == nil {
		wanted = path.Canonical().String()
	}
	// RFC 7628, section 3.1: without an identity, it is the token's own.
	byName := len(cred.Scopes) == 1 && (strings.EqualFold(login, agent.Name) || login == "" && a.Mechanism == sasl.OAuthBearer)
	for _, scope := range cred.Scopes {
		inbox, err := d.store.OpenInbox(ctx, cred.Org, scope.Inbox)
		if errors.Is(err, storage.ErrNotFound) {
			continue // the inbox was removed
		}
		if err != nil {
			return nil, err
		}
		if inbox.Address() != wanted && !byName {
			continue
		}
		if inbox.Env() != cred.Env { // AC-14: held at creation too
			return nil, &AuthError{Class: ErrCredentials, Rule: "environment"}
		}
		return inbox, nil
	}
	return nil, &AuthError{Class: ErrCredentials, Rule: "inbox"}
}

// login records that a session began.
func (d *Directory) login(ctx context.Context, a Attempt, p *Principal) error {
	return d.store.Write(ctx, p.Actor(), func(tx *storage.Tx) error {
		tx.Record(audit.Event{
			Verb: audit.SessionLogin, Outcome: audit.OK,
			Org: p.Credential.Org, Agent: p.Agent.ID, Credential: p.Credential.ID, Inbox: p.Inbox.ID(),
			Fields: append(a.fields(), audit.Word(audit.KeyEnvironment, string(p.Credential.Env))),
		})
		return nil
	})
}

// refuse records that a known credential was refused. // AU-13
func (d *Directory) refuse(ctx context.Context, a Attempt, cred storage.Credential, refused *AuthError) error {
	refused.Trace = newTrace()
	actor := audit.Actor{Kind: audit.Agent, ID: cred.Agent, Credential: cred.ID, Network: a.Remote}
	err := d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{
			Verb: audit.SessionRefused, Outcome: audit.Refused,
			Org: cred.Org, Agent: cred.Agent, Credential: cred.ID,
			Fields:   append(a.fields(), audit.Word(audit.KeyRule, refused.Rule), audit.Word(audit.KeyTrace, refused.Trace)),
			Personal: audit.Fields{audit.Text(audit.KeyAddress, a.loginForLog())},
		})
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	return refused
}

// stranger answers one who showed no credential of ours.
func (d *Directory) stranger(a Attempt, class error, rule string) error {
	d.Refuse(a.Remote, "AUTH", rule)
	return &AuthError{Class: class, Rule: rule, Trace: newTrace()}
}

func unavailable(err error) error {
	return &AuthError{Class: ErrUnavailable, Rule: "unavailable", Trace: newTrace(), Cause: err}
}

func (a Attempt) fields() audit.Fields {
	f := audit.Fields{audit.Word(audit.KeyDoor, a.Door)}
	if a.TLS != "" {
		f = append(f, audit.Word(audit.KeyTLS, a.TLS))
	}
	if a.Mechanism != "" {
		f = append(f, audit.Word(audit.KeyMechanism, a.Mechanism))
	}
	return f
}

// maxLogin bounds the login name in the log: the longest address and some more.
const maxLogin = 400

// loginForLog is the login name, unless a secret was put in its place.
func (a Attempt) loginForLog() string {
	if strings.Contains(a.Login, livePrefix) || strings.Contains(a.Login, testPrefix) || strings.Contains(a.Login, sessionPrefix) {
		return fmt.Sprintf("(%d bytes that contain a token)", len(a.Login))
	}
	return a.Login[:min(len(a.Login), maxLogin)]
}

// newTrace makes the short id that a refused peer is told.
func newTrace() string { return randomBase62(10) }
